"""While a run goes on: where it is, what is left, and when it may end; never silent for long.

Without ``-v`` and ``-q`` this takes the place of pytest's letters where all tests are of
deployments: a line that is drawn over on a terminal, else a plain line every 30 s. The time that is
left comes from the seconds that the same tests took last time, which pytest's own cache keeps.
(``LiveScreen`` of the commands takes over ``sys.stdout``, which pytest captures.)
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

import pytest

from qualification.core.format import duration_text
from qualification.core.text import disarm
from qualification.pytest_plugin.cases import NamedDeployments
from qualification.results.terminal import wrapped

if TYPE_CHECKING:
    from qualification.pytest_plugin.state import RunState

SILENCE_S = 30.0
"""Without a terminal: a line at least so often."""

DRAWN_S = 1.0
"""On a terminal: the line is drawn anew so often."""

LEAST_S = 5.0
"""Of a run that has no earlier one, before it says how long the rest may take."""

_CACHED = "qualification/seconds"


@dataclass
class Estimate:
    """How long the tests of a run may take; ``earlier_s`` are the seconds of each test last time.

    Pure: whoever uses it says what is over. ``processes`` work at once. ``taken_s`` are the seconds
    of the tests that ran, with their share of loading.
    """

    names: tuple[str, ...]
    earlier_s: Mapping[str, float]
    processes: int = 1
    taken_s: dict[str, float] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)

    @property
    def over(self) -> int:
        """Tests that are over, whether they ran or not."""
        return len(self.taken_s) + len(self.skipped)

    @property
    def left_s(self) -> float | None:
        """Seconds until all is over, if each test takes what it took; None where nothing is known.

        A test that is not known takes as long as the same test of other deployments on average, and
        without any as the median of all: a few tests load, and take much longer than the others.
        """
        over = {*self.taken_s, *self.skipped}
        if not (waiting := [name for name in self.names if name not in over]):
            return 0.0
        pace = self._pace
        samples = {name: s * pace for name, s in self.earlier_s.items()} | self.taken_s
        if not samples or (not self.earlier_s and sum(samples.values()) < LEAST_S):
            return None
        function_seconds: dict[str, list[float]] = {}
        for name, s in samples.items():
            function_seconds.setdefault(name.partition("[")[0], []).append(s)
        means = {function: sum(s) / len(s) for function, s in function_seconds.items()}
        usual_s = statistics.median(samples.values())
        expected = (
            samples.get(name, means.get(name.partition("[")[0], usual_s)) for name in waiting
        )
        return sum(expected) / self.processes

    @property
    def _pace(self) -> float:
        """How much longer the tests so far took than last time: the machine may be another one."""
        both = [
            (self.earlier_s[name], s) for name, s in self.taken_s.items() if name in self.earlier_s
        ]
        before_s = sum(s for s, _ in both)
        return sum(s for _, s in both) / before_s if before_s >= LEAST_S else 1.0


class Progress:
    """The hooks of pytest that see tests begin and end, and a thread that speaks meanwhile."""

    def __init__(
        self, state: RunState, stream: TextIO, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state = state
        self._config = state.config
        self._stream = stream
        self._clock = clock
        self._is_drawn = stream.isatty() and self._config.getoption("capture") != "no"
        self._lock = threading.Lock()
        self._started = self._line_at = clock()
        self._estimate = Estimate((), {})
        self._now = ""
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._fetched_s = 0.0
        self._named = NamedDeployments(state.registry.deployments())
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The tests are known: those of a process without others."""
        self._begin(tuple(item.nodeid for item in session.items), 1)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """The tests are known: each process has found the same."""
        if not self._estimate.names:
            self._begin(tuple(ids), len(self._config.option.tx or ()) or 1)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> Generator[None, tuple[str, str, Any], tuple[str, str, Any]]:
        """No letter for a test of a deployment: the line says how many there are."""
        category, letter, word = yield
        if self._thread is not None and self._named.of(report.nodeid):
            letter = ""
        return category, letter, word

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._now = nodeid

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test is over."""
        # Weights are fetched, or made, once: the next run does not wait for them.
        fetched_s = self._state.downloads.seconds - self._fetched_s
        self._fetched_s += fetched_s
        before_s = self._seconds.get(report.nodeid, 0.0)
        self._seconds[report.nodeid] = before_s + max(0.0, report.duration - fetched_s)
        if report.outcome == "failed":
            self._failed.add(report.nodeid)
        elif report.outcome == "skipped" and not hasattr(report, "wasxfail"):
            self._estimate.skipped.add(report.nodeid)
        if report.when == "teardown":
            if report.nodeid not in self._estimate.skipped:
                self._estimate.taken_s[report.nodeid] = self._seconds[report.nodeid]
            self._tick()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """The line is gone, and the seconds are kept for the next run."""
        self.close()
        if cache := getattr(self._config, "cache", None):
            seconds = cache.get(_CACHED, {})
            cache.set(
                _CACHED, seconds | {k: round(s, 3) for k, s in self._estimate.taken_s.items()}
            )

    def close(self) -> None:
        """End the thread, and erase what is drawn."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._erase()

    def say(self, text: str) -> None:
        """A plain line now, from whatever takes its time."""
        with self._lock:
            self._erase()
            self._line_at = self._clock()
            self._write(_fitted(" ".join(disarm(text).split())))

    def line(self) -> str:
        """Where the run is: ``212 of 3717 tests, 1 failed, 40 s so far, about 11 min left: …``."""
        estimate = self._estimate
        words = [f"{estimate.over} of {len(estimate.names)} tests"]
        if self._failed:
            words.append(f"{len(self._failed)} failed")
        elapsed_s = self._clock() - self._started
        words.append(f"{duration_text(elapsed_s)} so far")
        if left_s := estimate.left_s:
            words.append(f"about {duration_text(left_s)} left")
        suite = self._now.partition("::")[0].rpartition("/")[2]
        if deployment := self._named.of(self._now):
            words[-1] += (
                f": {deployment.identifier} {suite.removeprefix('test_').removesuffix('.py')}"
            )
        return ", ".join(words)

    def _begin(self, names: tuple[str, ...], processes: int) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        is_ours = names and all(map(self._named.of, names))
        if not is_ours or reporter is None or self._config.option.collectonly:
            return
        cache = getattr(self._config, "cache", None)
        cached: Mapping[str, float] = cache.get(_CACHED, {}) if cache else {}
        earlier_s = {name: cached[name] for name in names if name in cached}
        self._estimate = Estimate(names, earlier_s, processes)
        self._started = self._line_at = self._clock()
        if self._config.get_verbosity():
            return
        reporter.showfspath = False
        reporter._show_progress_info = False  # its own part of a line has no letters before it
        deployments = {case.identifier for name in names if (case := self._named.of(name))}
        words = [_counted(len(deployments), "deployment"), _counted(len(names), "test")]
        if (left_s := self._estimate.left_s) is not None:
            words.append(f"about {duration_text(left_s)}")
        reporter.ensure_newline()
        reporter.write_line(f"qualification: {', '.join(words)}")
        self._thread = threading.Thread(target=self._speak, name="progress", daemon=True)
        self._thread.start()

    def _speak(self) -> None:
        while not self._ended.wait(DRAWN_S):
            self._tick()

    def _tick(self) -> None:
        """Draw, or say a line that is due."""
        if self._thread is None or self._ended.is_set():
            return
        with self._lock:
            width = shutil.get_terminal_size().columns
            if self._is_drawn:
                self._write(f"\r\x1b[2K{disarm(self.line())[: width - 1]}")
            elif self._clock() - self._line_at >= SILENCE_S:
                self._line_at = self._clock()
                self._write(f"{disarm(self.line())[:width]}\n")

    def _erase(self) -> None:
        if self._is_drawn:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def _fitted(line: str) -> str:
    """As wide as the terminal, 80 columns where there is none, with the end of the line."""
    return "".join(f"{part}\n" for part in wrapped(line, shutil.get_terminal_size().columns))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
