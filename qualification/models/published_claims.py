"""Published figures checked by arithmetic: which of them are impossible, and why.

``baselines/published/`` keeps the claims of documents, unchanged. A rule here contradicts a figure
by the roofline, by the least memory that weights take, or by the other figures of the same
document; ``published_rankings`` does so for rankings and superlatives. Where the wording of a claim
is open, the rule reads it in the claim's favour (GB may be GiB, "~" is rounded). See
docs/published-documents.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from statistics import fmean

from qualification.core.declarations import Deployment, Tier
from qualification.core.format import bytes_text, percent_text, rate_text
from qualification.core.text import one_line
from qualification.models.footprint import predicted_weights_bytes
from qualification.models.published_documents import (
    Contradiction,
    Document,
    Figure,
    read_known,
    read_published,
)
from qualification.models.published_rankings import order_contradictions
from qualification.models.quantisations import bytes_per_weight
from qualification.models.registry import Registry
from qualification.models.roofline import INVESTIGATE_SHARE, LARGE_PARAMETERS, roofline_at

__all__ = [
    "Contradiction",
    "Document",
    "Figure",
    "contradictions",
    "read_known",
    "read_published",
]


def contradictions(documents: Mapping[str, Document], registry: Registry) -> list[Contradiction]:
    """Every figure, superlative and ranking that a rule contradicts, in the documents' order."""
    contradicted = []
    for file, document in documents.items():
        contradicted += [
            Contradiction(file, figure.line, figure.model or "", figure.metric, rule, sentence)
            for figure in document.figures
            for rule, sentence in _faults(figure, document, registry)
        ]
        contradicted += order_contradictions(file, document)
    return contradicted


def _faults(figure: Figure, document: Document, registry: Registry) -> Iterator[tuple[str, str]]:
    if not figure.numbers:
        yield "shape", f"{figure.stated_as!r} has no number."
        return
    yield from _shape(figure)
    yield from _chip(figure, registry)
    yield from _sign(figure)
    deployment = _deployment(figure, registry)
    if deployment is not None:
        yield from _speed(figure, deployment, registry)
        yield from _memory(figure, deployment)
    yield from _own_runs(figure, document)
    yield from _identities(figure, document, registry)


def _deployment(figure: Figure, registry: Registry) -> Deployment | None:
    named = (d for d in registry.deployments() if d.identifier == figure.deployment)
    return next(named, None)


# --------------------------------------------------------------------------- the figure by itself


def _shape(figure: Figure) -> Iterator[tuple[str, str]]:
    if figure.range and figure.range[0] > figure.range[-1]:
        yield "range", f"The range runs from {figure.range[0]:g} down to {figure.range[-1]:g}."
    if figure.unit == "%" and not all(0 <= number <= 100 for number in figure.numbers):
        yield "share", f"{_quoted(figure)} is no share of 0 % to 100 %."


def _chip(figure: Figure, registry: Registry) -> Iterator[tuple[str, str]]:
    named = re.search(r"\bM[0-9]+(?: (?:Pro|Max|Ultra))?\b", figure.machine or "")
    if named and named[0] not in {chip.name for chip in registry.chips}:
        yield "chip", f"There is no {named[0]}: the table of chips has none of that name."


def _sign(figure: Figure) -> Iterator[tuple[str, str]]:
    least = min(figure.numbers)
    if least < 0 and figure.unit in ("GB", "s", "tok/s", "%"):
        quantity = "memory" if figure.unit == "GB" else figure.metric
        yield (
            "sign",
            f"{_quoted(figure)}: {quantity} of {least:g} {figure.unit} is under zero, so something"
            " else was subtracted than the document says.",
        )


# --------------------------------------------------------------------------- physical bounds


def _speed(figure: Figure, deployment: Deployment, registry: Registry) -> Iterator[tuple[str, str]]:
    """Decoding over the roofline of the measured machine or of the tier it is projected for."""
    if figure.metric not in ("decode_tps", "speed floor"):
        return
    for place, bandwidth in sorted(_places(figure, registry), key=lambda pair: pair[1]):
        bound = roofline_at(deployment, bandwidth).bound_tps
        fastest = max(figure.numbers)
        if not bound:
            continue
        need = fastest / bound * bandwidth
        if fastest > bound:
            yield (
                "roofline",
                f"{_quoted(figure)} for {deployment.identifier} is over the {rate_text(bound)} that"
                f" {place} allows: {rate_text(fastest)} takes {need / 1e9:.0f} GB/s and it has"
                f" {bandwidth / 1e9:.0f} GB/s.",
            )
            return
    measured = next(iter(_places(figure, registry)), None)
    if figure.metric != "decode_tps" or measured is None or figure.range:
        return
    place, bandwidth = measured
    share = max(figure.numbers) / roofline_at(deployment, bandwidth).bound_tps
    if deployment.model.parameters >= LARGE_PARAMETERS and share < INVESTIGATE_SHARE:
        yield (
            "investigate",
            f"{_quoted(figure)} for {deployment.identifier} is {percent_text(share, digits=0)} of"
            f" what {place} allows: under {percent_text(INVESTIGATE_SHARE, digits=0)} it is a fault"
            " of the software to investigate, no property of the model.",
        )


def _places(figure: Figure, registry: Registry) -> Iterator[tuple[str, float]]:
    """The measured machine and the tier it is projected for, with their largest bandwidth."""
    if chips := [chip for chip in registry.chips if chip.name in (figure.machine or "")]:
        # "M4" is in "M4 Max" too: the longest name is meant, of its variants the fastest.
        chip = max(chips, key=lambda chip: (len(chip.name), chip.bandwidth))
        yield f"the memory of an {chip.name}", chip.bandwidth
    tier = _tier(figure, registry)
    if tier is not None and (chips := [c for c in registry.chips if c.name in tier.chips]):
        chip = max(chips, key=lambda chip: (chip.bandwidth, chip.name))
        yield f"the memory of {tier.name} ({chip.name})", chip.bandwidth


def _tier(figure: Figure, registry: Registry) -> Tier | None:
    """The tier that it is projected for; None where the user's declarations have none of it."""
    return next((tier for tier in registry.tiers if tier.name == figure.projected_for), None)


_METRICS_OF_WEIGHTS = ("memory", "download", "size", "weights file")


def _memory(figure: Figure, deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Fewer bytes than the weights take: no file of them and no process with them is smaller."""
    if figure.unit != "GB" or not figure.metric.startswith(_METRICS_OF_WEIGHTS):
        return
    if figure.metric == "memory left" or figure.metric.startswith("memory of"):
        return
    least = predicted_weights_bytes(deployment.model, deployment.source)
    number = max(figure.numbers)
    most = (number + _rounding(figure, number)) * 2**30
    if number >= 0 and most < least:
        model = deployment.model
        yield (
            "weights",
            f"{_quoted(figure)} is less than the weights of {deployment.identifier} take:"
            f" {model.parameters / 1e9:.2f} billion at"
            f" {bytes_per_weight(deployment.source.quantisation):g} bytes are {bytes_text(least)}.",
        )


def _rounding(figure: Figure, number: float) -> float:
    """Half a unit of the last digit that is printed."""
    texts: list[str] = re.findall(r"[0-9]+(?:\.[0-9]+)?", figure.stated_as)
    places = [len(text.partition(".")[2]) for text in texts if float(text) == abs(number)]
    return float(0.5 * 10 ** -max(places, default=0))


# --------------------------------------------------------------------------- the whole document


def _own_runs(figure: Figure, document: Document) -> Iterator[tuple[str, str]]:
    """An average that is not the mean of its runs, a headline that none of them reached."""
    if figure.value is None or figure.deployment is None:
        return
    runs = next(
        (
            candidate.values
            for candidate in document.figures
            if candidate.values
            and (candidate.deployment, candidate.metric) == (figure.deployment, figure.metric)
        ),
        None,
    )
    if runs is None:
        return
    mean, tolerance = fmean(runs), _rounding(figure, figure.value) + 1e-9
    listed = ", ".join(f"{run:g}" for run in runs)
    if "average" in figure.stated_as.casefold():
        if abs(figure.value - mean) > tolerance:
            yield "mean", f"{_quoted(figure)} is not the mean of {listed}, which is {mean:.2f}."
    elif not min(runs) - tolerance <= figure.value <= max(runs) + tolerance:
        yield (
            "runs",
            f"{_quoted(figure)} lies outside of the document's own runs, {listed} {figure.unit}"
            f" (mean {mean:.2f}).",
        )


def _identities(
    figure: Figure, document: Document, registry: Registry
) -> Iterator[tuple[str, str]]:
    """Ratios, differences and shares that the document's own figures do not give."""
    metric, value = figure.metric, figure.value
    if value is None:
        return
    tolerance = _rounding(figure, value) + 1e-9
    if metric.startswith("ratio of decode_tps, 7B to 3B"):
        seven, three = _runs(document, "qwen2.5-vl-7b"), _runs(document, "qwen2.5-vl-3b")
        if seven and three and abs(fmean(seven) / fmean(three) - value) > tolerance:
            yield (
                "ratio",
                f"{_quoted(figure)}: the means of the document's own runs are {fmean(seven):.2f}"
                f" and {fmean(three):.2f} tok/s, {fmean(seven) / fmean(three):.1f} times.",
            )
    elif (
        metric == "memory share taken by a vision model"
        and (tier := _tier(figure, registry)) is not None
    ):
        total = tier.memory_max / 2**30 - 1
        measured = {
            candidate.deployment: candidate.value
            for candidate in document.figures
            if candidate.metric == "memory usage (RSS)" and candidate.value is not None
        }
        shares = [f"{used:g} GB are {used / total:.0%}" for used in measured.values()]
        if measured and max(measured.values()) / total * 100 < value - tolerance:
            yield (
                "share",
                f"{_quoted(figure)} of {total:.0f} GB: the document measured"
                f" {' and '.join(shares)}.",
            )


def _runs(document: Document, model: str) -> list[float]:
    return next((f.values for f in document.figures if f.values and f.model == model), [])


def _quoted(figure: Figure) -> str:
    """The claim between quotation marks; of a table's row its cell, with the unit of the column."""
    if "|" not in figure.stated_as:
        return f'"{one_line(figure.stated_as, 60)}"'
    return f'"{one_line(figure.printed, 60)}" {figure.unprinted_unit}'.rstrip()
