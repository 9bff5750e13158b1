"""The tables of a published document, each figure as it is printed there and marked as a claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from qualification.core.format import NOTHING
from qualification.documents.model import (
    Block,
    Figure,
    Inline,
    Paragraph,
    Section,
    Span,
    Table,
    columns,
    inline,
)
from qualification.judging.stats.estimators import median
from qualification.models import published_documents as published
from qualification.models.published_documents import Contradiction

APPENDIX = "what-does-not-hold"
"""The anchor that a figure with a contradiction links to."""

_SI = {"GB": ("B", 1e9), "%": ("share", 0.01)}
"""Unit of the documents -> that of our metrics, and its size in it."""


@dataclass(frozen=True)
class Claim:
    """A figure on one line of its document. The runs of a list are a claim each."""

    line: int
    figure: published.Figure
    alone: Span
    """The figure as it is printed, without its label."""
    whole: Span
    """All of the printed text."""


def claims(
    file: str, document: published.Document, contradicted: Sequence[Contradiction]
) -> tuple[Claim, ...]:
    """Every figure of a document, in its order; one that is contradicted links to the appendix."""
    # A superlative is words: the figure beside it on the line is not in doubt.
    doubted = {c.key[:4] for c in contradicted if c.rule != "superlative"}
    return tuple(
        Claim(
            part.line,
            figure,
            _span(part, part.printed, document, is_doubted=key(file, figure) in doubted),
            _span(part, part.stated_as, document, is_doubted=key(file, figure) in doubted),
        )
        for figure in document.figures
        for part in _parts(figure)
    )


def key(file: str, figure: published.Figure) -> tuple[str, int, str, str]:
    """The figure in the key of its contradictions."""
    return (file, figure.line, figure.model or "", figure.metric)


def _parts(figure: published.Figure) -> Iterator[published.Figure]:
    """One figure for each line of a list of values; else the figure itself."""
    texts, values = figure.stated_as.splitlines(), figure.values or []
    if len(texts) < 2 or len(texts) != len(values):
        yield figure
        return
    for offset, (text, value) in enumerate(zip(texts, values, strict=True)):
        yield replace(figure, line=figure.line + offset, stated_as=text, values=[value])


def _span(
    figure: published.Figure, text: str, document: published.Document, *, is_doubted: bool
) -> Span:
    """A printed text with its number in our units and its place; a doubted one has a link."""
    place = f"{source(document)}, line {figure.line}"
    unit, size = _SI.get(figure.unit, (figure.unit, 1.0))
    numbers = [number * size for number in figure.numbers]
    value = (
        Figure(median(numbers), unit, "published", 1, "median", min(numbers), max(numbers), place)
        if numbers
        else None
    )
    if is_doubted:
        return Span(text, tone="bad", link=f"#{APPENDIX}", figure=value)
    return Span(text, figure=value)


def source(document: published.Document) -> str:
    """The document by its title and date."""
    return f"{document.title}, {document.date}"


def document_sections(
    number: int, document: published.Document, every: Sequence[Claim]
) -> Iterator[Section]:
    """A section for each table of the document, then one, folded, of all that is in none."""
    for position, table in enumerate(document.tables, 1):
        lines = sorted({line for row in table.rows for line in row.lines})
        where = f", lines {lines[0]} to {lines[-1]}" if lines else ""
        origin = f"As printed in {source(document)}{where}: claims, not measurements."
        yield Section(
            f"claims-{number}-{position}",
            f"{table.title}, {document.date}",
            (Paragraph(inline(Span(origin, "quiet"))), _printed_table(table, every)),
        )
    lines_of_tables = {line for t in document.tables for row in t.rows for line in row.lines}
    untabled = [claim for claim in every if claim.line not in lines_of_tables]
    blocks: list[Block] = [_list_of_claims(document, untabled)] if untabled else []
    if document.superlatives:
        heading = Span(f"Superlatives of {source(document)}", "strong")
        blocks += [Paragraph(inline(heading)), _superlatives(document)]
    if blocks or not document.tables:
        words = "Other figures" if document.tables else "Figures"
        title = f"{words} of {source(document)}"
        yield Section(f"claims-{number}", title, tuple(blocks), is_folded=True)


def _printed_table(table: published.PrintedTable, every: Sequence[Claim]) -> Table:
    titles = [column.title for column in table.columns]
    are_numbers = [column.title for column in table.columns if column.metric]
    return Table(
        table.title,
        columns(table.name_of_rows, *titles, numeric=are_numbers),
        tuple((inline(row.name), *_cells(row, table, every)) for row in table.rows),
    )


def _cells(
    row: published.PrintedRow, table: published.PrintedTable, every: Sequence[Claim]
) -> Iterator[Inline]:
    """A claim stands in the first column that takes it."""
    waiting = [claim for claim in every if claim.line in row.lines]
    for column in table.columns:
        if column.title in row.words:
            yield inline(row.words[column.title])
            continue
        cell = [claim for claim in waiting if _takes(column, claim.figure)]
        waiting = [claim for claim in waiting if claim not in cell]
        yield joined([claim.alone for claim in cell]) or inline(Span(NOTHING, "quiet"))


def _takes(column: published.PrintedColumn, figure: published.Figure) -> bool:
    return (
        column.metric in (None, figure.metric)
        and column.model in (None, figure.model)
    )  # fmt: skip


def joined(spans: Sequence[Span]) -> Inline:
    """Spans with commas between; a text that is the same again stands once."""
    distinct = {span.text: span for span in spans}.values()
    return tuple(part for span in distinct for part in (Span(", "), span))[1:]


def _list_of_claims(document: published.Document, listed: Sequence[Claim]) -> Table:
    heads = ("line", "model", "of", "as printed", "for", "note")
    rows = tuple(
        (
            inline(str(claim.line)),
            inline(claim.figure.model or Span("not stated", "quiet")),
            inline(claim.figure.metric),
            (claim.whole,),
            inline(_place(claim.figure, document)),
            inline(claim.figure.note),
        )
        for claim in listed
    )
    return Table(f"Figures of {source(document)}", columns(*heads, numeric=("line",)), rows)


def _place(figure: published.Figure, document: published.Document) -> str:
    return figure.projected_for or figure.machine or document.machine or "machine not stated"


def _superlatives(document: published.Document) -> Table:
    return Table(
        f"Superlatives of {source(document)}",
        columns("line", "model", "as printed", "by", numeric=("line",)),
        tuple(
            (
                inline(str(superlative.line)),
                inline(superlative.model),
                inline(Span(superlative.stated_as, "quoted")),
                inline(" or ".join(superlative.metrics)),
            )
            for superlative in document.superlatives
        ),
    )
