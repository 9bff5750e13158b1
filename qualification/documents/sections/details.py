"""Evidence that is folded: phases, servers under load, capabilities, conformance, projections."""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.declarations import Deployment, KnownBug
from qualification.core.format import change_text, count_text, number, percent_text, seconds_text
from qualification.core.results import Check
from qualification.documents.figures import Figures, origin, word
from qualification.documents.model import (
    Block,
    Figure,
    Inline,
    Items,
    Paragraph,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.sections.session_plots import phases_plot
from qualification.judging.stats.estimators import median
from qualification.models.projection import Projection
from qualification.results.capability_table import matrices
from qualification.results.conformance_table import Conformance, RequirementCell, conformance
from qualification.results.rows import Row
from qualification.servers.load_figures import LEAST_SAMPLES, LEAST_TOKENS, UnderLoad

_PHASES = {
    "e2e_s": ("whole answer", "s"),
    "prompt_tokens": ("prompt tokens", "tokens"),
    "image_tokens": ("of the image", "tokens"),
    "preprocess_s": ("preprocess", "s"),
    "vision_encode_s": ("vision encoder", "s"),
    "prefill_s": ("prefill", "s"),
    "prefill_tps": ("prefill, tok/s", "tok/s"),
    "sustained_decode_tps": ("decode, sustained", "tok/s"),
    "load_cold_s": ("cold load", "s"),
    "peak_device_bytes": ("GPU memory", "B"),
    "token_drift": ("token drift", "ratio"),
    "sentinel_drift": ("sentinel drift", "ratio"),
}


def phases(rows: Sequence[Row], figures: Figures) -> Section | None:
    """The phases of the time to first token, and what is drawn from long runs."""
    measured = [row for row in rows if row.phases]
    metric_names = [name for name in _PHASES if any(row.phases.get(name) for row in measured)]
    if not metric_names:
        return None
    titles = [_PHASES[name][0] for name in metric_names]
    table = Table(
        "Phases and details",
        columns("deployment", *titles, numeric=titles),
        tuple(
            (
                inline(code(row.identifier)),
                *(
                    inline(_phase(row, row.phases.get(name, ()), _PHASES[name][1], figures))
                    for name in metric_names
                ),
            )
            for row in measured
        ),
    )
    note = (
        "preprocess, vision encoder and prefill are phases of the time to first token, from "
        "separate requests that wait for the device between them; –: that backend cannot be hooked "
        "there, or the phase was not measured. sustained: the last minute of --sustained. drift: "
        "latency between tokens, the last quarter over the first, and of the same request after "
        "all suites against before. It is recorded for canaries and judged for real models."
    )
    plot = phases_plot(measured)
    blocks: tuple[Block, ...] = (table, _note(note), *([plot] if plot else []))
    return Section("phases", "Phases and details", blocks, is_folded=True)


def _phase(row: Row, values: Sequence[float], unit: str, figures: Figures) -> Span:
    if not values or unit not in ("tokens", "ratio"):
        return figures.of(row, values, unit, bare=True)
    span = figures.of(row, values, unit)
    text = count_text(median(values)) if unit == "tokens" else change_text(median(values))
    return Span(text, figure=span.figure)


def registered(rows: Sequence[Row], figures: Figures) -> Section | None:
    """Metrics that other packages register."""
    entries = tuple(
        (
            inline(code(row.identifier)),
            inline(metric.label),
            inline(figures.of(row, trials, metric.unit)),
            inline(figures.span([min(trials)], metric.unit, origin(row))),
            inline(figures.span([max(trials)], metric.unit, origin(row))),
        )
        for row in rows
        for metric, trials in row.registered
    )
    heads = ("deployment", "metric", "median", "least", "most")
    title = "Metrics that other packages register"
    table = Table(title, columns(*heads, numeric=heads[2:]), entries)
    return Section("registered", title, (table,), is_folded=True) if entries else None


def under_load(rows: Sequence[Row]) -> Section | None:
    """A server's figures with several clients at once."""
    heads = (
        *("deployment", "clients", "requests", "failed", "wrong", "swapped"),
        *("first token, median", "first token, 95 %", "request, median", "request, 95 %"),
        *("decode, tok/s, median", "decode, 5 %", "long answers", "all tok/s", "requests/s"),
        *("fairness", "slowest / fastest"),
    )
    lines = tuple(
        (inline(code(row.identifier)), *(inline(cell) for cell in _load_cells(load)))
        for row in rows
        for load in row.under_load
    )
    if not lines:
        return None
    note = (
        "The clients ask at once, each about images of its own, and send the next request as soon "
        "as they have an answer. wrong: of the questions that were answered correctly for a single "
        "client. swapped: a wrong answer that is correct for another client's image. Times and "
        "speeds are those of the requests that did not fail, decode that of the long answers "
        f"({LEAST_TOKENS} tokens or more); a percentile of fewer than {LEAST_SAMPLES} is not "
        "given, nor a decoding speed of a canary, whose tokens come faster than one program reads "
        "the streams of several clients. fairness: Jain's index over the requests that each client "
        "had finished while all still asked (1: all equal; 1/n: one of n clients had them all). It "
        "is recorded and not judged."
    )
    table = Table("Servers under load", columns(*heads, numeric=heads[1:]), lines)
    return Section("under-load", "Servers under load", (table, _note(note)), is_folded=True)


def _load_cells(load: UnderLoad) -> tuple[str, ...]:
    times = (load.ttft_p50_s, load.ttft_p95_s, load.request_p50_s, load.request_p95_s)
    shares = (load.served_tps, load.served_rps, load.fairness, load.slowest)
    return (
        *(str(n) for n in (load.clients, load.requests, load.failed, load.wrong, load.swapped)),
        *(seconds_text(time) for time in times),
        *(number(tps) for tps in (load.decode_p50_tps, load.decode_p5_tps)),
        str(load.timed),
        *(number(share) for share in shares),
    )


_LEGEND = (
    "yes: the test passed. known bug: it failed as the bug is declared to. –: the model is not "
    "declared for it."
)


def capabilities(checks: Sequence[Check], deployments: Sequence[Deployment]) -> Section | None:
    """Which capability each deployment of a model showed."""
    tables = [
        Table(
            f"Capabilities of {matrix.model}",
            columns("capability", *matrix.columns),
            tuple(
                (inline(name), *(inline(_mark(mark)) for mark in marks))
                for name, marks in matrix.rows
            ),
        )
        for matrix in matrices(checks, deployments)
    ]
    blocks: tuple[Block, ...] = (_note(_LEGEND), *tables)
    return Section("capabilities", "Capabilities", blocks, is_folded=True) if tables else None


def server_conformance(
    checks: Sequence[Check], deployments: Sequence[Deployment], bugs: Sequence[KnownBug]
) -> Section | None:
    """What each server does of what its API promises."""
    conformed = conformance(checks, deployments, bugs)
    if conformed is None:
        return None
    note = (
        f"{_LEGEND} A number is that of a known bug below. A column is a server where all its "
        "deployments have equal results, else a deployment."
    )
    remedies = tuple(
        inline(
            f"{place}: ",
            code(bug.identifier, "#known-bugs"),
            f" {bug.title}; {bug.remedy}" if bug.title else "",
        )
        for place, bug in enumerate(conformed.notes, 1)
    )
    blocks: tuple[Block, ...] = (*_requirements(conformed), _note(note))
    if remedies:
        blocks = (*blocks, Items(remedies))
    return Section("conformance", "Server conformance", blocks, is_folded=True)


def _requirements(conformed: Conformance) -> tuple[Table, ...]:
    return tuple(
        Table(
            heading,
            columns("requirement", *conformed.columns),
            tuple((inline(text), *(_cell(cell) for cell in cells)) for text, cells in requirements),
        )
        for heading, requirements in conformed.sections
    )


def _cell(cell: RequirementCell) -> Inline:
    mark = inline(_mark(cell.mark))
    return (*mark, Span(f" {cell.note}")) if cell.note else mark


def _mark(mark: str) -> Span:
    if mark == "undeclared":
        return Span("–")
    return Span(mark) if mark == "yes" else word(mark)


def projections(projected: Sequence[Projection]) -> Section | None:
    """Measured speeds carried to other tiers; none of them was measured there."""
    if not projected:
        return None
    heads = ("deployment", "tier", "tok/s", "its bound there", "% of it", "measured", "on")
    table = Table(
        "Projected, not measured",
        columns(*heads, numeric=heads[2:6]),
        tuple(
            (
                inline(code(p.deployment)),
                inline(p.tier),
                inline(*_projected(p.low_tps, p.high_tps)),
                inline(_span_text(p.low_bound_tps, p.high_bound_tps)),
                inline(percent_text(p.share, digits=0)),
                inline(number(p.measured_tps)),
                inline(p.measured_on),
            )
            for p in projected
        ),
    )
    text = "Carried to other tiers at the same share of their roofline; none was measured there."
    blocks = (_note(text), table)
    return Section("projections", "Projections to other machines", blocks, is_folded=True)


def _projected(*speeds: float) -> tuple[Span | str, ...]:
    low, high = (
        Span(number(speed), figure=Figure(speed, "tok/s", "projected")) for speed in speeds
    )
    return (low,) if low.text == high.text else (low, " to ", high)


def _span_text(low: float, high: float) -> str:
    texts = dict.fromkeys((number(low), number(high)))
    return " to ".join(texts)


def _note(text: str) -> Paragraph:
    return Paragraph(inline(Span(text, "quiet")))
