"""What a soak test shows, on a terminal and without one."""

import io

from rich.console import Console

from qualification.servers.admin_status import WorkerStatus
from qualification.watch.progress import Screen
from qualification.watch.records import Alert, SelfReport
from qualification.watch.tally import Tally
from tests.support.watch_sample import GB, header, request, thresholds


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


def feed(screen, count=100):
    """Requests, an alert, self-reported figures and the figures."""
    tally = Tally(thresholds())
    for number in range(1, count + 1):
        record = request(number, GB + number * 2_000_000, used=26 * GB)
        tally.add(record)
        screen.on_line(record)
    screen.on_line(Alert("leak", "warning", 90.0, 90, "Memory grows [red]by[/] 2.00 MB."))
    screen.on_line(SelfReport(60.0, (WorkerStatus("qwen", 94.1, 5.8e9),)))
    screen.on_figures(tally.figures())


def test_a_terminal_shows_what_matters():
    """Time left, outcomes, speed, memory with its bar, the slope, alerts; no markup is read."""
    console = Console(file=Terminal(), force_terminal=True, width=110, height=40)
    with Screen(header(), console, clock=lambda: 12.0) as screen:
        feed(screen)
        with (still := Console(file=io.StringIO(), width=110)).capture() as captured:
            still.print(screen.frame())
    frame = " ".join(captured.get().split())
    for text in (
        "10 min 0 s left",
        "100: 100 ok, 0 wrong, 0 failed",
        "p50 500 ms",
        "floor 50.0 tok/s",
        "26.0 GB, 81% of 32.0 GB",
        "2.00 MB per request",
        "critical threshold is reached in",
        "qwen: 94.1 tok/s, 5.80 GB",
        "warning at 1 min 30 s: Memory grows [red]by[/] 2.00 MB.",
    ):
        assert text in frame, text


def test_without_a_terminal_alerts_are_lines_and_figures_a_line_each_minute():
    """Nothing is drawn over; a CI hears from it once a minute."""
    now = 0.0
    out = io.StringIO()
    with Screen(header(), Console(file=out, width=40), clock=lambda: now) as screen:
        feed(screen)
        now = 61.0
        feed(screen)
        feed(screen)
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("watching some-model at http://127.0.0.1:1/v1 for 10 min 0 s")
    assert sum("100 requests" in line for line in lines) == 1
    assert sum("warning: Memory grows" in line for line in lines) == 3
