"""The terminal: the last lines of a run, and a screen that is drawn over while work goes on."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from qualification.core.results import Condition, Machine, Verdict
from qualification.core.text import disarm
from qualification.machine.names import describe

if TYPE_CHECKING:
    from typing import Self

    from rich.console import Console, RenderableType
    from rich.live import Live


def machine_lines(machine: Machine, conditions: Sequence[Condition]) -> Iterator[str]:
    """The machine, and why its timing is not judged."""
    yield f"on {describe(machine)}, tier {machine.tier or 'none'}"
    for condition in conditions:
        if not condition.fit:
            note = f" ({condition.note})" if condition.note else ""
            name = condition.name.replace("_", " ")
            yield f"unfit for timing: {name} was {condition.value}{note}"


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of ``width`` columns, 40 at least; those that go on are indented.

    A command that is to be copied is not broken.
    """
    if line.startswith("    pytest "):
        return [line]
    wrapper = textwrap.TextWrapper(max(40, width), break_long_words=False, break_on_hyphens=False)
    wrapper.subsequent_indent = " " * (len(line) - len(line.lstrip()) + 4)
    return wrapper.wrap(line) if len(line) > wrapper.width else [line]


def findings(judged: Sequence[Verdict]) -> Iterator[str]:
    """Each verdict with all findings against it, known bugs too."""
    width = max((len(verdict.deployment) for verdict in judged), default=0)
    for verdict in judged:
        yield f"{verdict.deployment:{width}}  {verdict.name} ({verdict.advice})"
        undecided = verdict.name == "inconclusive"
        for finding in verdict.findings:
            if finding.status in ("fail", "suspect", "warn") or (
                undecided
                and finding.status == "unknown"
                and finding.metric not in ("check", "conditions", "measured")
            ):
                yield f"    {finding.status}: {finding.sentence}"


class LiveScreen:
    """Shows work while it is open: drawn over on a terminal, else plain lines that go on.

    A subclass draws :meth:`frame` and names the work in :meth:`opening`. A terminal that was only
    asked for (FORCE_COLOR in CI) cannot be drawn over and gets lines. Nothing is read as markup.
    """

    SILENCE_S = 60.0
    """Without a terminal: the time without a line that CI's watchdogs are not to see exceeded."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.started = clock()
        self._line_at = self.started
        self._live: Live | None = None

    def frame(self) -> RenderableType:
        """Everything that stands on the terminal now; called twice a second."""
        raise NotImplementedError

    def opening(self) -> str:
        """The first plain line, where nothing is drawn."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.started = self._line_at = self.clock()
        if self.console.is_interactive and self.console.file.isatty():
            from rich.live import Live

            self._live = Live(
                get_renderable=self.frame,
                console=self.console,
                refresh_per_second=2,
                transient=True,
                vertical_overflow="ellipsis",
            )
            self._live.start()
        else:
            self.line(self.opening())
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def is_drawn(self) -> bool:
        """Whether frames are drawn, so that no line is due."""
        return self._live is not None

    @property
    def is_line_due(self) -> bool:
        """Whether nothing is drawn and the last line is :attr:`SILENCE_S` or longer ago."""
        return not self.is_drawn and self.clock() - self._line_at >= self.SILENCE_S

    def line(self, text: str, *, restarts_silence: bool = True) -> None:
        """Print one plain line; ``restarts_silence`` False leaves the next regular line due."""
        if restarts_silence:
            self._line_at = self.clock()
        self.console.out(" ".join(disarm(text).split()), highlight=False)
