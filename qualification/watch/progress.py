"""An endurance run on the terminal: drawn over on a terminal, else a plain line each minute.

Nothing of it is read as markup; texts of models and servers were disarmed before.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from qualification.results.terminal import live
from qualification.watch import conclusion
from qualification.watch.records import Alert, Figures, Header, Line, Request, ServerWord
from qualification.watch.words import duration, rate, seconds, size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SILENCE_S = 60.0
SHOWN_ALERTS, KEPT_ALERTS = 5, 200
BAR = 24
STYLES = {"note": "cyan", "warning": "yellow", "critical": "bold red"}


class Screen:
    """Shows a run while it is open."""

    def __init__(
        self, header: Header, console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._header = header
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._figures = Figures()
        self._last: Request | None = None
        self._outcomes = {"ok": 0, "wrong": 0, "failed": 0}
        self._alerts: deque[Alert] = deque(maxlen=SHOWN_ALERTS)
        self._kept: deque[Alert] = deque(maxlen=KEPT_ALERTS)
        self._workers: ServerWord | None = None
        self._started = self._spoke = clock()

    def __enter__(self) -> Screen:
        self._started = self._spoke = self._clock()
        self._live = live(self._console, self.picture)
        if self._live is None:
            planned = duration(self._header.planned_s)
            self._line(f"watching {self._header.subject} for {planned}; {self._header.memory_of}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def seen(self, line: Line) -> None:
        """Take something new; an alert is said at once where there is no terminal."""
        if isinstance(line, Request):
            self._last = line
            self._outcomes[line.outcome] += 1
        elif isinstance(line, ServerWord):
            self._workers = line
        elif isinstance(line, Alert):
            self._alerts.append(line)
            self._kept.append(line)
            if self._live is None:
                self._line(f"{duration(line.at_s)}  {line.level}: {line.sentence}")

    def figures(self, figures: Figures) -> None:
        """Take the figures; without a terminal they are one line each minute."""
        self._figures = figures
        if self._live is None and self._clock() - self._spoke >= SILENCE_S:
            self._spoke = self._clock()
            self._line(plain(figures, self._header))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The newest alerts."""
        return tuple(self._kept)

    def picture(self) -> RenderableType:
        """What stands on the terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        header, figures = self._header, self._figures
        elapsed = self._clock() - self._started
        left = max(0.0, header.planned_s - elapsed)
        lines: list[RenderableType] = [
            Text(f"{header.subject}", style="bold", overflow="ellipsis", no_wrap=True),
            Text(f"{duration(elapsed)} so far, {duration(left)} left", style="cyan"),
        ]
        table = Table(box=None, show_header=False, show_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self._rows(figures):
            table.add_row(name, value)
        lines.append(table)
        if self._alerts:
            lines.append(Text("latest alerts", style="bold"))
        for alert in self._alerts:
            style = STYLES[alert.level]
            told = Text.assemble((alert.level, style), f" at {duration(alert.at_s)}: ")
            told.append(alert.sentence)
            lines.append(told)
        return Group(*lines)

    def _rows(self, figures: Figures) -> Iterable[tuple[str, RenderableType]]:
        from rich.text import Text

        header = self._header
        counts, total = self._outcomes, sum(self._outcomes.values())
        bad = "bold red" if counts["wrong"] or counts["failed"] else ""
        yield (
            "requests",
            Text.assemble(
                f"{total:,}: {counts['ok']:,} ok, ",
                (f"{counts['wrong']:,} wrong, {counts['failed']:,} failed", bad),
            ),
        )
        first, speed = figures.ttft_s, figures.decode_tps
        yield (
            "TTFT",
            Text(f"p50 {seconds(first.p50)}  p95 {seconds(first.tail)}  n {first.count:,}"),
        )
        floor = f"  floor {rate(header.levels.floor_tps)}" if header.levels.floor_tps else ""
        told = f"p50 {rate(speed.p50)}  p5 {rate(speed.tail)}  n {speed.count:,}{floor}"
        yield "decode", Text(told)
        look = self._last.look if self._last else None
        levels = header.levels
        if look is not None:
            yield "machine", bar(look.machine_used_bytes, levels.memory_bytes,
                                 levels.warning_bytes, levels.critical_bytes)  # fmt: skip
        if look is not None and look.resident_bytes is not None:
            yield "processes", bar(look.resident_bytes, levels.memory_bytes,
                                   levels.subject_warning_bytes,
                                   levels.subject_critical_bytes)  # fmt: skip
            peak = size(figures.resident_peak_bytes)
            yield "", Text(f"{size(look.held_bytes)} of its own; {peak} resident at most")
        elif look is not None:
            yield "processes", Text(header.memory_of, style="yellow")
        leak = bool(figures.growth and figures.growth.lower > levels.growth_limit)
        yield "growth", Text(conclusion.growth(header, figures), style="bold red" if leak else "")
        yield "drift", Text(conclusion.drifts(header, figures))
        if figures.restarts:
            yield "restarts", Text(str(figures.restarts), style="yellow")
        for worker in self._workers.workers[:3] if self._workers else ():
            said = f"{worker.model}: {rate(worker.decode_tps)}, {size(worker.memory_bytes)}"
            yield "its own word", Text(said)

    def _line(self, text: str) -> None:
        self._console.out(" ".join(text.split()), highlight=False)


def bar(used: float, total: float, warning: float, critical: float) -> RenderableType:
    """``█████░░░░  9.20 GB, 38 % of 24.0 GB``, coloured by the marks."""
    from rich.text import Text

    if total <= 0:
        return Text(size(used))
    filled = round(BAR * min(1.0, used / total))
    over = "bold red" if critical and used > critical else "yellow" if used > warning else "green"
    return Text.assemble(
        ("█" * filled, over), ("░" * (BAR - filled), "dim"),
        f"  {size(used)}, {used / total:.0%} of {size(total)}",
    )  # fmt: skip


def plain(figures: Figures, header: Header) -> str:
    """One line for a log of a CI."""
    first, speed = figures.ttft_s, figures.decode_tps
    told = (
        f"{duration(figures.elapsed_s)}  {figures.requests:,} requests, {figures.wrong:,} wrong,"
        f" {figures.failed:,} failed; TTFT p50 {seconds(first.p50)} p95 {seconds(first.tail)};"
        f" decode p50 {rate(speed.p50)} p5 {rate(speed.tail)}; machine"
        f" {size(figures.machine_used_bytes)}, processes {size(figures.resident_bytes)}"
    )
    if figures.growth is not None:
        found = figures.growth
        told += f"; growth {size(found.per_request)} ({size(found.lower)} to {size(found.upper)})"
    return told
