"""The last lines of a run, and a screen that is drawn on a terminal and printed elsewhere."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from qualification.core.results import Condition, Finding, Verdict
from qualification.results.terminal import LiveScreen, findings, machine_lines
from tests.support.session_sample import session

MACHINE = session().machine


def test_a_verdict_is_shown_with_the_findings_against_it():
    """And each condition that makes timing unfit; what passed is left to the report."""
    reasons = (Finding("load_s", "pass", "Quick."), Finding("decode_tps", "warn", "Slow."))
    conditions = (Condition("cpu_load", "80%", False, "close it"), Condition("swap", "0 B", True))
    _, *lines = machine_lines(MACHINE, conditions)
    lines += findings([Verdict("a@mlx", "unfit", "untested", reasons)])
    assert lines == [
        "unfit for timing: cpu load was 80% (close it)",
        "a@mlx  unfit (untested)",
        "    warn: Slow.",
    ]


def test_an_inconclusive_verdict_shows_what_is_unknown():
    """But not that something was skipped, which is listed above it."""
    reasons = (Finding("decode_tps", "unknown", "One session."), Finding("check", "unknown", "x"))
    lines = list(findings([Verdict("a@mlx", "inconclusive", "usable", reasons)]))
    assert lines == ["a@mlx  inconclusive (usable)", "    unknown: One session."]


class Screen(LiveScreen):
    """A screen of two words."""

    def frame(self):
        return Text("a frame")

    def opening(self):
        return "it begins"


class Terminal(io.StringIO):
    """A file that is a terminal."""

    def isatty(self):
        return True


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


def test_without_a_terminal_lines_are_printed():
    """A terminal that was only asked for cannot be drawn over; nothing is read as markup."""
    file = io.StringIO()
    with Screen(Console(file=file, force_terminal=True, force_interactive=True)) as screen:
        assert not screen.is_drawn
        screen.line("[bold]two\n\x1b[31mlines")
    assert file.getvalue().splitlines() == ["it begins", "[bold]two \\x1b[31mlines"]


def test_on_a_terminal_frames_are_drawn_and_no_line_is_due():
    """Until it is closed."""
    file, clock = Terminal(), Clock()
    with Screen(Console(file=file, force_terminal=True), clock) as screen:
        assert screen.is_drawn
        clock.now += 2 * screen.SILENCE_S
        assert not screen.is_line_due
    assert not screen.is_drawn
    assert "a frame" in file.getvalue()
    assert "it begins" not in file.getvalue()


@pytest.mark.parametrize(("restarts", "due"), [(True, False), (False, True)])
def test_a_line_is_due_after_a_minute_of_silence(restarts, due):
    """A line on the side may leave the regular one due."""
    clock = Clock()
    with Screen(Console(file=io.StringIO()), clock) as screen:
        assert not screen.is_line_due
        clock.now += screen.SILENCE_S
        assert screen.is_line_due
        screen.line("x", restarts_silence=restarts)
        assert screen.is_line_due == due
