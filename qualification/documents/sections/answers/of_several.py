"""Questions that compare the pick with other deployments, or fit it beside them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.core.declarations import Deployment
from qualification.core.format import bytes_text, percent_text, rate_text
from qualification.documents.model import Inline, Span, code, inline
from qualification.documents.sections.answers.subject import Answer, Subject, accuracy_text
from qualification.documents.sections.candidates import accuracy_interval
from qualification.judging.stats.estimators import median
from qualification.models.memory_fit import Answer as Fit
from qualification.models.memory_fit import predict
from qualification.models.roofline import INVESTIGATE_SHARE, fills_the_bus
from qualification.results.rows import Row

_ALIKE = 0.05
"""A smaller difference of two speeds needs no reason."""

_YES: dict[Fit, str] = {
    "fits": "Yes: ",
    "tight": "Only with applications closed: ",
    "does not fit": "No: ",
}


def why_faster(subject: Subject) -> Iterator[Answer]:
    """The pick and its neighbours in size, by the bytes that a token reads of each."""
    mine = subject.deployment
    rivals = [
        (row, deployment)
        for row, deployment in subject.others()
        if deployment.source.engine == mine.source.engine
        and deployment.model.name != mine.model.name
        and row.decode_tps
        and row.roofline_tps
    ]
    kin = [rival for rival in rivals if rival[1].model.family == mine.model.family] or rivals
    if not subject.row.decode_tps or not (own_bound := subject.row.roofline_tps):
        return
    larger = [rival for rival in kin if (rival[0].roofline_tps or 0.0) < own_bound]
    smaller = [rival for rival in kin if (rival[0].roofline_tps or 0.0) > own_bound]
    pick = (subject.row, mine)
    if smaller:
        yield from _compared(subject, pick, min(smaller, key=lambda r: r[0].roofline_tps or 0.0))
    if larger:
        yield from _compared(subject, max(larger, key=lambda r: r[0].roofline_tps or 0.0), pick)


def _compared(
    subject: Subject, larger: tuple[Row, Deployment], smaller: tuple[Row, Deployment]
) -> Iterator[Answer]:
    rows, bandwidth = (larger[0], smaller[0]), subject.machine.bandwidth
    bounds = [row.roofline_tps or 0.0 for row in rows]
    speeds = [median(row.decode_tps) for row in rows]
    ratio = speeds[0] / speeds[1]
    if not bandwidth or not all(bounds) or abs(ratio - 1) < _ALIKE:
        return
    names = [row.identifier for row in rows]
    shares = [speed / bound for speed, bound in zip(speeds, bounds, strict=True)]
    reads = [bytes_text(bandwidth / bound) for bound in bounds]
    text = (
        f"A token of {names[0]} reads {reads[0]}, one of {names[1]} {reads[1]}: "
        f"{bytes_text(bandwidth)}/s allow {rate_text(bounds[0])} and {rate_text(bounds[1])}. "
        f"Measured: {rate_text(speeds[0])}, {percent_text(shares[0], digits=0)} of it, and "
        f"{rate_text(speeds[1])}, {percent_text(shares[1], digits=0)}. "
    )
    if ratio < 1:
        text += f"It reads {bounds[1] / bounds[0]:.1f} times as much for each token."
    elif shares[1] < INVESTIGATE_SHARE and fills_the_bus(smaller[1], subject.machine):
        limit = percent_text(INVESTIGATE_SHARE, digits=0)
        text += f"Under {limit} it is the software that slows {names[1]} down, not its size."
    else:
        text += f"{names[1]} makes less use of the memory's bandwidth."
    word = "slower" if ratio < 1 else "faster"
    yield Answer(f"Why is {names[0]} {word} than {names[1]}?", (inline(text),))


def next_larger(subject: Subject) -> Iterator[Answer]:
    """The smallest model of the family that is larger, on the same engine."""
    mine = subject.deployment
    larger = [
        deployment
        for deployment in subject.registry.with_weights("hub").deployments()
        if deployment.model.family == mine.model.family
        and deployment.source.engine == mine.source.engine
        and deployment.model.parameters > mine.model.parameters
    ]
    if not larger or subject.machine.memory_bytes <= 0:
        return
    deployment = min(
        larger,
        key=lambda d: (d.model.parameters, d.source.quantisation != mine.source.quantisation),
    )
    allowed, measured = subject.allowance, _row(subject.table, deployment)
    if measured is not None and measured.peak_memory_bytes:
        need = max(measured.peak_memory_bytes)
        why = f"its peak was {bytes_text(need)} here, of {bytes_text(allowed.limit_bytes)}"
    else:
        footprint = predict(deployment, subject.registry)
        need, why = footprint.total_bytes, allowed.sentence([footprint])
    text = f"{_YES[allowed.answer(need)]}{why}."
    yield Answer(f"Can I run {deployment.identifier}, the next larger one?", (inline(text),))


def _row(table: Sequence[Row], deployment: Deployment) -> Row | None:
    return next((row for row in table if row.identifier == deployment.identifier), None)


def two_at_once(subject: Subject) -> Iterator[Answer]:
    """The pick twice by its measured peak, and the declared combinations that it is part of."""
    name, allowed = subject.row.identifier, subject.allowance
    points: list[Inline] = []
    if subject.machine.memory_bytes <= 0:
        return
    if subject.row.peak_memory_bytes:
        peak = max(subject.row.peak_memory_bytes)
        text = f"2 × {bytes_text(peak)} measured = {bytes_text(2 * peak)}; models may take "
        text += f"{bytes_text(allowed.limit_bytes)}."
        points.append(inline(_YES[allowed.answer(2 * peak)], code(name), f" twice, {text}"))
    declared = {deployment.identifier for deployment in subject.registry.deployments()}
    for combination in subject.registry.together:
        names = set(combination.deployments)
        if name not in names or len(names) < 2 or not names <= declared:
            continue
        footprints = [
            predict(subject.registry.deployment(part), subject.registry)
            for part in combination.deployments
        ]
        need = sum(footprint.total_bytes for footprint in footprints)
        text = f"{combination.name}: {allowed.sentence(footprints)}."
        points.append(inline(f"{_YES[allowed.answer(need)]}{text}"))
    if points:
        yield Answer("Can I run two at once?", tuple(points))


def more_bits(subject: Subject) -> Iterator[Answer]:
    """Another quantisation of the same model in the same place, where both accuracies are known."""
    mine = (subject.row, subject.deployment)
    for rival in subject.others():
        model, source = rival[1].model, rival[1].source
        if (model.name, source.place) != (mine[1].model.name, mine[1].source.place):
            continue
        pair = sorted((mine, rival), key=lambda p: -max(p[0].peak_memory_bytes, default=0.0))
        large, small = (accuracy_interval(row) for row, _ in pair)
        if large is None or small is None:
            continue
        if large.lower > small.upper:
            conclusion = "its answers are better, beyond chance"
        elif small.lower > large.upper:
            conclusion = "its answers are worse, beyond chance"
        else:
            conclusion = "the intervals overlap, so this session cannot tell the answers apart"
        texts = [", ".join((accuracy_text(row), *_cost(row))) for row, _ in pair]
        names = [deployment.source.quantisation for _, deployment in pair]
        yield Answer(
            f"Is {names[0]} better than {names[1]}?",
            (inline(f"{texts[0]} against {texts[1]}: {conclusion}."),),
        )


def _cost(row: Row) -> Iterator[str]:
    if row.decode_tps:
        yield rate_text(median(row.decode_tps))
    if row.peak_memory_bytes:
        yield f"{bytes_text(max(row.peak_memory_bytes))} peak"


def which_backend(subject: Subject) -> Iterator[Answer]:
    """The same model in other places, and the one that the rule of recommendations takes."""
    alike = [
        row
        for row, deployment in subject.others()
        if deployment.model.name == subject.deployment.model.name
        and deployment.source.place != subject.deployment.source.place
    ]
    if not alike:
        return
    rows = [subject.row, *alike]
    points = []
    for row in rows:
        accuracy = accuracy_text(row)
        facts = [f"{accuracy} correct"] if accuracy else []
        facts += _cost(row)
        text = ", ".join(facts) or "no figures"
        points.append(inline(code(row.identifier), f": {text}; ", Span(row.advice, "quoted")))
    points.insert(
        0, inline(code(subject.row.identifier), ", by accuracy, then speed, then memory.")
    )
    yield Answer(f"Which backend for {subject.deployment.model.name}?", tuple(points))
