"""The published claims as a document: what is printed, as it is printed, and what does not hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from qualification.documents.model import (
    Block,
    Document,
    Inline,
    Line,
    Paragraph,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.published.tables import (
    APPENDIX,
    claims,
    document_sections,
    joined,
    key,
    source,
)
from qualification.models import published_documents as published
from qualification.models.published_claims import contradictions
from qualification.models.published_documents import Contradiction, read_published
from qualification.models.registry import Registry

_KINDS = {
    "roofline": "Faster than the memory bandwidth allows",
    "runs": "A headline that none of the document's own runs reached",
    "mean": "An average that is not the mean of its runs",
    "ratio": "A ratio that the document's own figures do not give",
    "share": "A share that the document's own figures do not give",
    "ranking": "A ranking that mixes two metrics",
    "order": "A ranking in the wrong order",
    "superlative": "A superlative that the document's own figures contradict",
    "sign": "Under zero",
    "weights": "Less memory than the weights take",
    "investigate": "So far under the roofline that the software is at fault",
    "chip": "A machine that does not exist",
    "range": "A range from high to low",
    "shape": "No number",
}
"""Rule -> what its contradictions have in common, in the order of the appendix."""


def published_document(folder: Path, registry: Registry) -> Document:
    """Return the claims of all documents of a folder; BaselineError for one that is malformed."""
    documents = read_published(folder)
    contradicted = contradictions(documents, registry)
    sections = [
        section
        for number, (file, document) in enumerate(documents.items(), 1)
        for section in document_sections(number, document, claims(file, document, contradicted))
    ]
    dates = sorted(document.date for document in documents.values())
    count = sum(len(document.figures) for document in documents.values())
    return Document(
        name="published-claims",
        title="Published claims",
        subject=inline(
            "Figures of other documents, as they are printed there. None was measured here."
        ),
        lines=(
            Line(
                "CLAIMED",
                inline(f"{count} figures of {len(documents)} documents, {dates[0]} to {dates[-1]}"),
            ),
            Line(
                "WRONG",
                inline(Span(f"{len(contradicted)} do not hold", tone="bad", link=f"#{APPENDIX}")),
            ),
        ),
        overview=(_overview(documents, contradicted),),
        sections=(*sections, appendix(documents, contradicted)),
        evidence=tuple(_evidence(file, document) for file, document in documents.items()),
    )


def appendix(
    documents: Mapping[str, published.Document], contradicted: Sequence[Contradiction]
) -> Section:
    """Every contradiction with its sentence, a table for each kind."""
    rules = dict.fromkeys([*_KINDS, *(c.rule for c in contradicted)])
    blocks: list[Block] = []
    for rule in rules:
        same = [contradiction for contradiction in contradicted if contradiction.rule == rule]
        if same:
            kind = _KINDS.get(rule, rule)
            blocks.append(Paragraph(inline(Span(f"{kind} ({len(same)})", "strong"))))
            blocks.append(_table_of_kind(kind, same, documents))
    if not blocks:
        blocks.append(Paragraph(inline("No rule contradicts any figure.")))
    return Section(APPENDIX, "What does not hold", tuple(blocks))


def _table_of_kind(
    kind: str, same: Sequence[Contradiction], documents: Mapping[str, published.Document]
) -> Table:
    heads = ("document", "line", "model", "claim", "why it does not hold")
    return Table(
        kind,
        columns(*heads, numeric=("line",)),
        tuple(
            (
                inline(documents[contradiction.file].date),
                inline(str(contradiction.line)),
                inline(contradiction.model or Span("not stated", "quiet")),
                _claim(contradiction, documents[contradiction.file]),
                inline(contradiction.sentence),
            )
            for contradiction in same
        ),
    )


def _claim(contradiction: Contradiction, document: published.Document) -> Inline:
    """The figure, or else the superlative, that is contradicted."""
    if contradiction.rule == "superlative":
        return next(
            inline(Span(superlative.stated_as, "quoted"))
            for superlative in document.superlatives
            if (superlative.line, superlative.model) == (contradiction.line, contradiction.model)
            and contradiction.metric in superlative.metrics
        )
    spans = [
        claim.alone
        for claim in claims(contradiction.file, document, ())
        if key(contradiction.file, claim.figure) == contradiction.key[:4]
    ]
    return joined(spans)


def _overview(
    documents: Mapping[str, published.Document], contradicted: Sequence[Contradiction]
) -> Table:
    heads = ("document", "date", "machine", "figures", "do not hold")
    rows = []
    for number, (file, document) in enumerate(documents.items(), 1):
        start = f"claims-{number}-1" if document.tables else f"claims-{number}"
        wrong = sum(contradiction.file == file for contradiction in contradicted)
        rows.append(
            (
                inline(Span(document.title, link=f"#{start}")),
                inline(document.date),
                inline(document.machine or Span("not stated", "quiet")),
                inline(str(len(document.figures))),
                inline(str(wrong)),
            )
        )
    return Table("The documents", columns(*heads, numeric=heads[3:]), tuple(rows))


def _evidence(file: str, document: published.Document) -> Inline:
    stated = {**document.environment, **document.method}
    listed = ", ".join(f"{name} {text}" for name, text in stated.items()) or "not stated"
    return inline(
        code(file), f": {source(document)}. Environment and method: {listed}. {document.note}"
    )
