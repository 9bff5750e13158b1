"""What a run says at its end, as lines for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from qualification.machine import describe
from qualification.records import Check, Condition, Machine, Verdict
from qualification.session import NOT_LOADED


def not_run(checks: Sequence[Check]) -> Iterator[str]:
    """A line per reason for which tests were skipped, with their number."""
    reasons = Counter(
        check.detail
        for check in checks
        if check.outcome == "skipped" and not check.detail.endswith(NOT_LOADED)
    )
    for reason, count in reasons.items():
        yield f"{count:4} × {reason}"


def verdicts(
    machine: Machine, conditions: Sequence[Condition], found: Sequence[Verdict]
) -> Iterator[str]:
    """The machine, why its timing is not judged, and each verdict with what speaks against it."""
    yield f"on {describe(machine)}, tier {machine.tier or 'none'}; render them with: qualify report"
    for condition in conditions:
        if not condition.fit:
            note = f" ({condition.note})" if condition.note else ""
            name = condition.name.replace("_", " ")
            yield f"unfit for timing: {name} was {condition.value}{note}"
    width = max((len(verdict.deployment) for verdict in found), default=0)
    for verdict in found:
        yield f"{verdict.deployment:{width}}  {verdict.name} ({verdict.advice})"
        undecided = verdict.name == "inconclusive"
        for finding in verdict.findings:
            if finding.status in ("fail", "suspect", "warn") or (
                undecided
                and finding.status == "unknown"
                and finding.metric not in ("check", "conditions", "measured")
            ):
                yield f"    {finding.status}: {finding.sentence}"
