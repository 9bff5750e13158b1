"""What to run on this machine, what to avoid, and what is too big: a few lines, before the rest.

They are the same in the documents and on the terminal. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qualification.core.format import bytes_text, percent_text, rate_text, seconds_text
from qualification.core.results import Results
from qualification.core.text import disarm
from qualification.judging.recommendation import (
    FAST_ACCURACY,
    Candidate,
    Recommendation,
    recommend,
)
from qualification.judging.stats.estimators import ShareInterval, median, share_interval
from qualification.machine.tiers import tier_of
from qualification.models.known_bugs import remedy
from qualification.models.memory_fit import machine_allowance, predict
from qualification.models.registry import Registry
from qualification.results.rows import Row

_ANSWERS = ("quality", "vqa", "parity")
"""Suites whose known bugs change answers; those of others (an image format) are told elsewhere."""

_SHOWN = 3
"""Deployments that have a line each, of those to avoid, too big or left out."""


@dataclass(frozen=True)
class Line:
    """A word and what follows it."""

    word: str
    text: str


def first_screen(results: Results, table: Sequence[Row], registry: Registry) -> tuple[Line, ...]:
    """The lines; of canaries and random weights only what they can tell."""
    real = [row for row in table if not (row.is_canary or row.is_synthetic)]
    if not real:
        return (Line("run", _nothing(table)),)
    machine = results.session.machine
    allowed = machine_allowance(machine, tier_of(machine, registry.tiers))
    candidates = [_candidate(row, registry) for row in real]
    measured = {row.identifier for row in table}
    candidates += [
        Candidate(deployment.identifier, too_big=allowed.sentence([predicted]))
        for deployment in registry.with_weights("hub").deployments()
        if deployment.identifier not in measured and machine.memory_bytes > 0
        if (predicted := predict(deployment, registry))
        and allowed.answer(predicted.total_bytes) == "does not fit"
    ]
    room = allowed.budget_bytes if machine.memory_bytes > 0 else float("inf")
    picks = recommend(candidates, room)
    rows = {row.identifier: row for row in real}
    return tuple(_lines(picks, rows, room))


def _nothing(table: Sequence[Row]) -> str:
    if not table:
        return "nothing was measured yet: pytest -m here --download"
    if all(row.is_canary for row in table):
        return (
            "canaries show whether the software works, not which model to run: "
            "pytest -m here --download"
        )
    return (
        "random weights have a speed and a size, and answer nothing: pytest -m here --download "
        "tries the models themselves"
    )


def _candidate(row: Row, registry: Registry) -> Candidate:
    too_big = [f.sentence for f in row.verdict.findings if row.verdict.name == "does_not_fit"]
    return Candidate(
        row.identifier,
        _accuracy(row),
        median(row.decode_tps) if row.decode_tps else None,
        max(row.peak_memory_bytes) if row.peak_memory_bytes else None,
        tuple(_against(row, registry)),
        next(iter(too_big), ""),
        _untried(row),
    )


def _accuracy(row: Row) -> ShareInterval | None:
    if not row.accuracy or not row.questions:
        return None
    right = round(median(row.accuracy) * row.questions)
    return share_interval([1.0] * right + [0.0] * (row.questions - right))


def _against(row: Row, registry: Registry) -> Iterator[str]:
    """What is wrong with it, with the way out."""
    bugs = {bug.identifier: bug for bug in registry.bugs}
    if row.rejected:
        yield row.rejected
    elif row.verdict.name in ("failed", "regressed"):
        broken = [f for f in row.verdict.findings if f.status == "fail"]
        yield f"{broken[0].sentence if broken else row.verdict.name} → qualify see {row.identifier}"
    bug_names = {
        check.known_bug
        for check in row.checks
        if check.outcome == "xfailed" and check.suite in _ANSWERS
    }
    for name in sorted(bug_names):
        bug = bugs.get(name)
        yield f"answers wrongly ({name}) → {remedy(bug) if bug else 'no workaround is known'}"


def _untried(row: Row) -> str:
    if {check.outcome for check in row.checks} <= {"skipped"}:
        details = [check.detail for check in row.checks if check.detail]
        return details[0] if details else "was not tried"
    if row.untried:
        return "was not tried to its end"
    if row.verdict.name == "unfit":
        return "was measured while the machine was not fit for timing"
    return ""


def _lines(picks: Recommendation, rows: dict[str, Row], room_bytes: float) -> Iterator[Line]:
    if picks.best is None:
        yield Line("run", "nothing can be recommended yet")
    else:
        yield Line("run", f"{picks.best.name}: {_why(picks.best, rows, room_bytes)}")
    if picks.tied:
        names = ", ".join(f"{c.name} ({_percent(c)})" for c in picks.tied)
        yield Line("as accurate", f"{names}: their intervals overlap with its own")
    if picks.fast and picks.fast != picks.best:
        yield Line(
            "fastest",
            f"{_short(picks.fast)}, of those above {percent_text(FAST_ACCURACY, digits=0)}",
        )
    if picks.smallest and picks.smallest != picks.best:
        yield Line("smallest", _short(picks.smallest))
    yield from _some("avoid", [(c, "; ".join(c.against)) for c in picks.avoid])
    yield from _some("too big", [(c, c.too_big) for c in picks.too_big])
    yield from _some("left out", picks.left_out)


def _some(word: str, entries: Sequence[tuple[Candidate, str]]) -> Iterator[Line]:
    """The first few, and the names of the others."""
    for candidate, reason in entries[:_SHOWN]:
        yield Line(word, f"{candidate.name}: {disarm(reason)}")
    if names := [candidate.name for candidate, _ in entries[_SHOWN:]]:
        yield Line(word, f"also {', '.join(names)}")


def _why(pick: Candidate, rows: dict[str, Row], room_bytes: float) -> str:
    row = rows[pick.name]
    accuracy, tps, peak = pick.accuracy, pick.decode_tps, pick.peak_bytes
    assert accuracy is not None
    assert tps is not None
    assert peak is not None
    bounds = f"{100 * accuracy.lower:.0f}–{100 * accuracy.upper:.0f}"
    words = [
        f"{percent_text(accuracy.mean, digits=0)} correct ({bounds} % of {accuracy.count} "
        "questions), the best that fits",
        rate_text(tps)
        + (f" = {share:.0%} of what the memory allows" if (share := row.share_of_roofline) else ""),
        f"{bytes_text(peak)} peak, {bytes_text(room_bytes - peak)} of the models' share are left",
    ]
    if row.load_s:
        words.append(f"loads in {seconds_text(median(row.load_s))}")
    if row.ttft_s:
        words.append(f"first token in {seconds_text(median(row.ttft_s))}")
    return " · ".join(words)


def _percent(candidate: Candidate) -> str:
    assert candidate.accuracy is not None
    return percent_text(candidate.accuracy.mean, digits=0)


def _short(candidate: Candidate) -> str:
    assert candidate.decode_tps is not None
    assert candidate.peak_bytes is not None
    return (
        f"{candidate.name}, {rate_text(candidate.decode_tps)}, {_percent(candidate)} correct, "
        f"{bytes_text(candidate.peak_bytes)}"
    )
