"""A row as the rule that recommends sees it: figures, what is against it, why it was not tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qualification.judging.library_versions import engine_of, principal_libraries
from qualification.judging.recommendation import Candidate
from qualification.judging.stats.estimators import ShareInterval, median, share_interval
from qualification.models.known_bugs import remedy
from qualification.models.registry import Registry
from qualification.results.rows import ANSWER_SUITES, Row


def candidate(row: Row, registry: Registry, stale: str = "") -> Candidate:
    """A deployment with real weights; None for a figure that was not measured.

    ``stale`` says what its figures were measured with that is no longer installed, or is ''.
    """
    too_big = [f.sentence for f in row.verdict.findings if row.verdict.name == "does_not_fit"]
    return Candidate(
        row.identifier,
        accuracy_interval(row),
        median(row.decode_tps) if row.decode_tps else None,
        max(row.peak_memory_bytes) if row.peak_memory_bytes else None,
        tuple(_against(row, registry)),
        next(iter(too_big), ""),
        _untried(row) or stale,
    )


def moved_libraries(row: Row, measured: Mapping[str, str], installed: Mapping[str, str]) -> str:
    """What its figures were measured with and what is installed now; '' where that is the same.

    Both: library -> version. Without ``installed`` nothing is known of now.
    """
    moved = [
        f"{name} {measured.get(name) or 'none'} (now {installed.get(name) or 'none'})"
        for name in principal_libraries(engine_of(row.identifier))
        if installed and measured.get(name, "") != installed.get(name, "")
    ]
    return f"is stale: measured with {', '.join(moved)}" if moved else ""


def accuracy_interval(row: Row) -> ShareInterval | None:
    """The accuracy with its 95 % interval (Wilson); None without the number of questions."""
    if not row.accuracy or not row.questions:
        return None
    right = round(median(row.accuracy) * row.questions)
    return share_interval([1.0] * right + [0.0] * (row.questions - right))


def bounds_text(interval: ShareInterval) -> str:
    """``88–97 % of 100 questions``."""
    return f"{100 * interval.lower:.0f}–{100 * interval.upper:.0f} % of {interval.count} questions"


def _against(row: Row, registry: Registry) -> Iterator[str]:
    """What is wrong with it, with the way out."""
    bugs = {bug.identifier: bug for bug in registry.bugs}
    if row.rejected:
        yield f"{row.rejected} → qualify see {row.identifier}"
    elif row.verdict.name in ("failed", "regressed"):
        broken = [f for f in row.verdict.findings if f.status == "fail"]
        yield f"{broken[0].sentence if broken else row.verdict.name} → qualify see {row.identifier}"
    bug_names = {
        check.known_bug
        for check in row.checks
        if check.outcome == "xfailed" and check.suite in ANSWER_SUITES
    }
    for name in sorted(bug_names):
        bug = bugs.get(name)
        yield f"answers wrongly ({name}) → {remedy(bug) if bug else 'no workaround is known'}"


def _untried(row: Row) -> str:
    if not row.is_declared:
        return "is no longer declared, so neither its weights nor its roofline are known"
    if {check.outcome for check in row.checks} <= {"skipped"}:
        details = [check.detail for check in row.checks if check.detail]
        return details[0] if details else "was not tried"
    if row.untried:
        return "was not tried to its end"
    if row.verdict.name == "unfit" and row.drift:
        return row.drift[:1].lower() + row.drift[1:].rstrip(".")
    if row.verdict.name == "unfit":
        return "was measured while the machine was not fit for timing"
    return ""
