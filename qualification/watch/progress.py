"""A soak test on the terminal: drawn over on a terminal, else a plain line each minute."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from qualification.core.format import (
    bytes_text,
    duration_text,
    percent_text,
    rate_text,
    seconds_text,
)
from qualification.results.terminal import LiveScreen
from qualification.watch import conclusion
from qualification.watch.log import MAX_ALERTS
from qualification.watch.records import Alert, Figures, Header, Line, Request, SelfReport

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

SHOWN_ALERTS = 5
BAR = 24
STYLES = {"note": "cyan", "warning": "yellow", "critical": "bold red"}


class Screen(LiveScreen):
    """Shows a run while it is open; texts of models and servers were disarmed before."""

    def __init__(
        self, header: Header, console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(console, clock)
        self._header = header
        self._figures = Figures()
        self._latest: Request | None = None
        self._outcomes = {"ok": 0, "wrong": 0, "failed": 0}
        self._alerts: deque[Alert] = deque(maxlen=MAX_ALERTS)
        self._report: SelfReport | None = None

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The newest alerts."""
        return tuple(self._alerts)

    def on_line(self, line: Line) -> None:
        """Take a new record; without a terminal an alert is printed at once."""
        if isinstance(line, Request):
            self._latest = line
            self._outcomes[line.outcome] += 1
        elif isinstance(line, SelfReport):
            self._report = line
        elif isinstance(line, Alert):
            self._alerts.append(line)
            if not self.is_drawn:
                text = f"{duration_text(line.at_s)}  {line.level}: {line.sentence}"
                self.line(text, restarts_silence=False)

    def on_figures(self, figures: Figures) -> None:
        """Take the figures; without a terminal they are one line each minute."""
        self._figures = figures
        if self.is_line_due:
            self.line(plain(figures))

    def opening(self) -> str:
        """See :class:`LiveScreen`."""
        header = self._header
        planned = duration_text(header.planned_s)
        return f"watching {header.subject} for {planned}; {header.memory_of}"

    def frame(self) -> RenderableType:
        """See :class:`LiveScreen`."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        header = self._header
        elapsed = self.clock() - self.started
        remaining = max(0.0, header.planned_s - elapsed)
        times = f"{duration_text(elapsed)} so far, {duration_text(remaining)} left"
        table = Table(box=None, show_header=False, show_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in self._rows(self._figures):
            table.add_row(name, value)
        lines: list[RenderableType] = [
            Text(header.subject, style="bold", overflow="ellipsis", no_wrap=True),
            Text(times, style="cyan"),
            table,
        ]
        if self._alerts:
            lines.append(Text("latest alerts", style="bold"))
        for alert in self.alerts[-SHOWN_ALERTS:]:
            text = Text.assemble(
                (alert.level, STYLES[alert.level]), f" at {duration_text(alert.at_s)}: "
            )
            lines.append(text.append(alert.sentence))
        return Group(*lines)

    def _rows(self, figures: Figures) -> Iterable[tuple[str, RenderableType]]:
        from rich.text import Text

        header, thresholds = self._header, self._header.levels
        counts, total = self._outcomes, sum(self._outcomes.values())
        style = "bold red" if counts["wrong"] or counts["failed"] else ""
        yield (
            "requests",
            Text.assemble(
                f"{total:,}: {counts['ok']:,} ok, ",
                (f"{counts['wrong']:,} wrong, {counts['failed']:,} failed", style),
            ),
        )
        times, speed = figures.ttft_s, figures.decode_tps
        p50, p95 = seconds_text(times.p50), seconds_text(times.tail)
        yield "TTFT", Text(f"p50 {p50}  p95 {p95}  n {times.count:,}")
        floor = f"  floor {rate_text(thresholds.floor_tps)}" if thresholds.floor_tps else ""
        p50, p5 = rate_text(speed.p50), rate_text(speed.tail)
        yield "decode", Text(f"p50 {p50}  p5 {p5}  n {speed.count:,}{floor}")
        yield from self._memory_rows(figures)
        is_leak = bool(figures.growth and figures.growth.lower > thresholds.growth_limit)
        style = "bold red" if is_leak else ""
        yield "growth", Text(conclusion.growth(header, figures), style=style)
        yield "drift", Text(conclusion.drifts(header, figures))
        if figures.restarts:
            yield "restarts", Text(str(figures.restarts), style="yellow")
        for worker in self._report.workers[:3] if self._report else ():
            yield "self-reported", Text(conclusion.worker_text(worker))

    def _memory_rows(self, figures: Figures) -> Iterable[tuple[str, RenderableType]]:
        from rich.text import Text

        if self._latest is None:
            return
        memory, thresholds = self._latest.look, self._header.levels
        total = thresholds.memory_bytes
        warning, critical = thresholds.warning_bytes, thresholds.critical_bytes
        yield "machine", bar(memory.machine_used_bytes, total, warning, critical)
        if memory.resident_bytes is None:
            yield "processes", Text(self._header.memory_of, style="yellow")
            return
        warning, critical = thresholds.subject_warning_bytes, thresholds.subject_critical_bytes
        yield "processes", bar(memory.resident_bytes, total, warning, critical)
        private, peak = bytes_text(memory.held_bytes), bytes_text(figures.resident_peak_bytes)
        yield "", Text(f"{private} private; peak {peak} resident")


def bar(used: float, total: float, warning: float, critical: float) -> RenderableType:
    """``█████░░░░  9.20 GB, 38% of 24.0 GB``, coloured by the thresholds."""
    from rich.text import Text

    if total <= 0:
        return Text(bytes_text(used))
    filled = round(BAR * min(1.0, used / total))
    style = "bold red" if critical and used > critical else "yellow" if used > warning else "green"
    return Text.assemble(
        ("█" * filled, style),
        ("░" * (BAR - filled), "dim"),
        f"  {bytes_text(used)}, {percent_text(used / total, digits=0)} of {bytes_text(total)}",
    )


def plain(figures: Figures) -> str:
    """The figures as one line, for the log of a CI."""
    times, speed, growth = figures.ttft_s, figures.decode_tps, figures.growth
    text = (
        f"{duration_text(figures.elapsed_s)}  {figures.requests:,} requests,"
        f" {figures.wrong:,} wrong, {figures.failed:,} failed;"
        f" TTFT p50 {seconds_text(times.p50)} p95 {seconds_text(times.tail)};"
        f" decode p50 {rate_text(speed.p50)} p5 {rate_text(speed.tail)};"
        f" machine {bytes_text(figures.machine_used_bytes)},"
        f" processes {bytes_text(figures.resident_bytes)}"
    )
    if growth is not None:
        lower, upper = bytes_text(growth.lower), bytes_text(growth.upper)
        text += f"; growth {bytes_text(growth.per_request)} ({lower} to {upper})"
    return text
