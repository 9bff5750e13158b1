"""What published documents claim of a deployment, to be read beside what a session measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from qualification.documents.model import Inline, Span
from qualification.documents.published.tables import Claim, claims, joined, key, source
from qualification.models import published_documents as published
from qualification.models.published_documents import Contradiction

_MEASURED_AS = {
    "decode_tps": "decode_tps",
    "load_s": "load_s",
    "memory": "peak_memory_bytes",
    "memory usage (RSS)": "peak_memory_bytes",
    "memory usage": "peak_memory_bytes",
    "memory loaded": "peak_memory_bytes",
    "memory difference": "peak_memory_bytes",
    "VQA accuracy": "vqa_accuracy",
    "simple accuracy": "simple_accuracy",
}
"""Metric of the published documents -> the metric of ours that it is read beside."""


@dataclass(frozen=True)
class PublishedClaim:
    """What a document claims of a deployment; the same claim on several lines is one.

    ``metric`` is the name of ours. ``wrong`` has a sentence for each rule that contradicts it, ''
    where none does.
    """

    deployment: str
    metric: str
    printed: Inline
    document: str
    """Title and date."""
    lines: tuple[int, ...]
    place: str
    """The tier it is projected for, else the machine, as printed; '' where none is stated."""
    wrong: str


def claims_about(
    deployments: Sequence[str],
    documents: Mapping[str, published.Document],
    contradicted: Sequence[Contradiction],
) -> list[PublishedClaim]:
    """The decoding speeds, load times, memory and accuracies that are claimed of deployments.

    ``deployments`` are identifiers, ``documents`` are by file name. The order is that of the
    deployments, then of the documents and their figures.
    """
    return [
        claim
        for deployment in deployments
        for file, document in documents.items()
        for claim in _of_document(deployment, file, document, contradicted)
    ]


def _of_document(
    deployment: str,
    file: str,
    document: published.Document,
    contradicted: Sequence[Contradiction],
) -> Iterator[PublishedClaim]:
    repeated: dict[tuple[str, str, tuple[float, ...]], list[Claim]] = {}
    for claim in claims(file, document, contradicted):
        figure = claim.figure
        if figure.deployment == deployment and figure.metric in _MEASURED_AS and figure.numbers:
            place = figure.projected_for or figure.machine or document.machine or ""
            same = (_MEASURED_AS[figure.metric], place, tuple(figure.numbers))
            repeated.setdefault(same, []).append(claim)
    for (metric, place, _), same_claims in repeated.items():
        yield PublishedClaim(
            deployment,
            metric,
            _printed(same_claims),
            source(document),
            tuple(dict.fromkeys(claim.line for claim in same_claims)),
            place,
            _wrong({key(file, claim.figure) for claim in same_claims}, contradicted),
        )


def _printed(same_claims: Sequence[Claim]) -> Inline:
    """As it is printed, with its unit if it can be; runs are one claim of several numbers."""
    figure = min((claim.figure for claim in same_claims), key=lambda f: bool(f.unprinted_unit))
    spans = joined([claim.alone for claim in same_claims if claim.figure is figure])
    unit = figure.unprinted_unit
    return (*spans, Span(f" {unit}", "quiet")) if unit else spans


def _wrong(keys: set[tuple[str, int, str, str]], contradicted: Sequence[Contradiction]) -> str:
    """The first sentence of each rule."""
    sentences: dict[str, str] = {}
    for contradiction in contradicted:
        if contradiction.key[:4] in keys and contradiction.rule != "superlative":
            sentences.setdefault(contradiction.rule, contradiction.sentence)
    return " ".join(sentences.values())
