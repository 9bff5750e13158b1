"""What a run says at its end, as lines for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from qualification.core.results import Check, Condition, Machine, Verdict
from qualification.machine.probe import describe
from qualification.session.session import NOT_LOADED

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


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


def live(console: Console, picture: Callable[[], RenderableType]) -> Live | None:
    """Start drawing what ``picture`` gives; None where lines must do.

    A terminal that was only asked for (FORCE_COLOR in CI) cannot be drawn over.
    """
    if not (console.is_interactive and console.file.isatty()):
        return None
    from rich.live import Live

    drawn = Live(
        get_renderable=picture, console=console, refresh_per_second=2,
        transient=True, vertical_overflow="ellipsis",
    )  # fmt: skip
    drawn.start()
    return drawn
