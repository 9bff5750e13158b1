"""The first screen: what to run, why, whether it fits, what to avoid, what is too big. Pure.

The lines are the same in the documents and on the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from qualification.core.format import (
    bytes_text,
    installed_memory_text,
    percent_text,
    rate_text,
)
from qualification.core.results import Machine, Results
from qualification.documents.figures import Figures
from qualification.documents.model import Inline, Line, Span, code, inline
from qualification.documents.sections.candidates import bounds_text, candidate, moved_libraries
from qualification.judging.recommendation import (
    FAST_ACCURACY,
    Candidate,
    Recommendation,
    recommend,
)
from qualification.machine.tiers import tier_of
from qualification.models.memory_fit import Allowance, machine_allowance, predict
from qualification.models.registry import Registry
from qualification.results.closing import sentence
from qualification.results.rows import Row

_SHOWN = 3
"""Deployments that have a line each, of those to avoid, too big or left out."""
_NAMED = 8
"""Names in one line."""


def picks(
    results: Results,
    table: Sequence[Row],
    registry: Registry,
    installed: Mapping[str, str] = MappingProxyType({}),
) -> Recommendation:
    """The rule's answer for the real models of a session; empty where it has none.

    ``installed``: library -> version now, on the same machine; nothing stale is picked.
    """
    measured_with = results.session.environment.versions
    real = [row for row in table if not (row.is_canary or row.is_synthetic)]
    machine = results.session.machine
    allowed = _allowed(machine, registry)
    candidates = [
        candidate(row, registry, moved_libraries(row, measured_with, installed)) for row in real
    ]
    measured = {row.identifier for row in table}
    if real:
        candidates += [
            Candidate(deployment.identifier, too_big=_too_big(predicted.total_bytes, allowed))
            for deployment in registry.with_weights("hub").deployments()
            if deployment.identifier not in measured and machine.memory_bytes > 0
            if (predicted := predict(deployment, registry))
            and allowed.answer(predicted.total_bytes) == "does not fit"
        ]
    return recommend(candidates, _room(machine, allowed))


def first_screen(
    results: Results,
    table: Sequence[Row],
    registry: Registry,
    choice: Recommendation,
) -> tuple[Line, ...]:
    """The lines; of canaries and random weights only what they can tell.

    ``choice`` is that of :func:`picks` for the same session.
    """
    if all(row.is_canary or row.is_synthetic for row in table):
        return tuple(_without_models(table, registry))
    machine = results.session.machine
    rows = {row.identifier: row for row in table}
    room = _room(machine, _allowed(machine, registry))
    canaries = [row for row in table if row.is_canary or row.is_synthetic]
    return (
        *_lines(choice, rows, machine, room, registry),
        *_broken(canaries, registry),
    )


def _allowed(machine: Machine, registry: Registry) -> Allowance:
    return machine_allowance(machine, tier_of(machine, registry.tiers))


def _too_big(need_bytes: float, allowed: Allowance) -> str:
    """The sum is in the table of predictions."""
    missing = -allowed.headroom_bytes(need_bytes)
    return (
        f"predicted {bytes_text(need_bytes)}, {bytes_text(missing)} more than the "
        f"{bytes_text(allowed.limit_bytes)} that a model may take here"
    )


def _room(machine: Machine, allowed: Allowance) -> float:
    return allowed.budget_bytes if machine.memory_bytes > 0 else float("inf")


def _without_models(table: Sequence[Row], registry: Registry) -> Iterator[Line]:
    """The software works, or where it does not; and that this recommends no model."""
    try_real = code("pytest -m here --download")
    if not table:
        yield Line("run", inline("nothing was measured yet: ", try_real))
    elif all(row.is_canary for row in table):
        yield Line("works", inline(sentence(table)))
        yield from _broken(table, registry)
        yield Line(
            "run",
            inline("canaries show whether the software works, not which model to run: ", try_real),
        )
    else:
        yield from _broken(table, registry)
        yield Line(
            "run",
            inline(
                "random weights have a speed and a size, and answer nothing: ",
                try_real,
                " tries the models themselves",
            ),
        )


def _broken(table: Sequence[Row], registry: Registry) -> Iterator[Line]:
    """What does not work and why: each reason once, with where it holds."""
    names: dict[tuple[str, ...], list[str]] = {}
    for row in table:
        if reasons := candidate(row, registry).against:
            alike = tuple(reason.replace(row.identifier, "…") for reason in reasons)
            names.setdefault(alike, []).append(row.identifier)
    entries = sorted(names.items(), key=lambda entry: -len(entry[1]))
    for reasons, broken in entries[:_SHOWN]:
        yield Line("avoid", inline(f"{_listed(broken)}: {'; '.join(reasons)}"))
    if more := sum(len(broken) for _, broken in entries[_SHOWN:]):
        yield Line("avoid", inline(f"{more} more ", Span("(why)", link="#why")))


def _lines(
    choice: Recommendation,
    rows: dict[str, Row],
    machine: Machine,
    room_bytes: float,
    registry: Registry,
) -> Iterator[Line]:
    if choice.best is None:
        yield Line("run", inline("nothing can be recommended yet"))
    else:
        yield Line("run", _why(choice.best, rows[choice.best.name], room_bytes))
        if machine.memory_bytes > 0:
            yield Line("memory", inline(_memory(choice.best, machine, registry)))
    if choice.tied:
        names = _listed([f"{c.name} ({_percent(c)})" for c in choice.tied])
        yield Line("as accurate", inline(f"{names}: their intervals overlap with its own"))
    if choice.fast and choice.fast != choice.best:
        above = f", of those surely above {percent_text(FAST_ACCURACY, digits=0)}"
        yield Line("fastest", (*_short(choice.fast), Span(above)))
    if choice.smallest and choice.smallest != choice.best:
        yield Line("smallest", _short(choice.smallest))
    yield from _some("avoid", [(c, "; ".join(c.against)) for c in choice.avoid])
    yield from _some("too big", [(c, c.too_big) for c in choice.too_big])
    yield from _some("left out", choice.left_out)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _some(name: str, entries: Sequence[tuple[Candidate, str]]) -> Iterator[Line]:
    """The first few, and the names of the others."""
    for out, reason in entries[:_SHOWN]:
        link = "#fit" if out.too_big else "#why"
        yield Line(name, inline(code(out.name, link), f": {reason}"))
    if names := [out.name for out, _ in entries[_SHOWN:]]:
        yield Line(name, inline(f"also {_listed(names)}"))


def _why(pick: Candidate, row: Row, room_bytes: float) -> Inline:
    accuracy, peak = pick.accuracy, pick.peak_bytes
    assert accuracy is not None
    assert peak is not None
    figures = Figures("")
    share = row.share_of_roofline
    remaining = f", {bytes_text(room_bytes - peak)} of the models' share are left"
    parts: list[str | Span] = [
        code(pick.name),
        f": {percent_text(accuracy.mean, digits=0)} correct ({bounds_text(accuracy)}), the best "
        "that fits · ",
        figures.of(row, row.decode_tps, "tok/s"),
        f" = {share:.0%} of what the memory allows" if share else "",
        " · ",
        figures.peak(row),
        " peak",
        remaining if room_bytes < float("inf") else "",
    ]
    if row.load_s:
        parts += [" · loads in ", figures.of(row, row.load_s, "s")]
    if row.ttft_s:
        parts += [" · first token in ", figures.of(row, row.ttft_s, "s")]
    return inline(*parts, " · ", Span("how to install and serve it", link="#production"))


def _memory(pick: Candidate, machine: Machine, registry: Registry) -> str:
    """``32 GiB: system 8.00 GB + server 2.00 GB + model 6.80 GB → 17.6 GB for applications``."""
    assert pick.peak_bytes is not None
    tier = tier_of(machine, registry.tiers)
    parts = {"model": pick.peak_bytes}
    if tier is not None:
        parts = {"system": tier.budget.system, "server": tier.budget.server} | parts
    remaining = machine.memory_bytes - sum(parts.values())
    named = " + ".join(f"{name} {bytes_text(size)}" for name, size in parts.items() if size)
    return (
        f"{installed_memory_text(machine.memory_bytes)}: {named} → {bytes_text(remaining)} left "
        "for applications"
    )


def _percent(pick: Candidate) -> str:
    assert pick.accuracy is not None
    return percent_text(pick.accuracy.mean, digits=0)


def _short(pick: Candidate) -> Inline:
    assert pick.decode_tps is not None
    assert pick.peak_bytes is not None
    return inline(
        code(pick.name),
        f", {rate_text(pick.decode_tps)}, {_percent(pick)} correct, {bytes_text(pick.peak_bytes)}",
    )
