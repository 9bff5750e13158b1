"""While a run goes on: how long it may take, and never silent."""

import io
import itertools
import math
import os
import pty
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.pytest_plugin.progress import DRAWN_S, SILENCE_S, Estimate, Progress
from tests.support.forked_pytest import run_forked
from tests.support.toy_project import own_variables

NAMES = tuple(f"test_{number}" for number in range(10))


def test_without_an_earlier_run_the_pace_so_far_counts():
    """After some seconds; before that nobody knows."""
    estimate = Estimate(NAMES, {})
    assert estimate.left_s is None
    estimate.taken_s["test_0"] = 4.0
    assert estimate.left_s is None
    estimate.taken_s["test_1"] = 6.0
    assert estimate.left_s == pytest.approx(8 * 5.0)


def test_an_earlier_run_says_how_long_it_takes():
    """Tests that it did not know take as long as the others usually do."""
    earlier = dict.fromkeys(NAMES[:5], 2.0)
    assert Estimate(NAMES, earlier).left_s == pytest.approx(20.0)
    assert Estimate(NAMES, earlier, processes=2).left_s == pytest.approx(10.0)


def test_a_new_deployment_takes_as_long_as_others_in_the_same_test():
    """A test that loads takes a hundred times as long as one that asks."""
    earlier = {"test_loads[a]": 10.0, **{f"test_asks[a-{number}]": 0.1 for number in range(9)}}
    names = ("test_loads[b]", *(f"test_asks[b-{number}]" for number in range(9)), "test_new[b]")
    assert Estimate(names, earlier).left_s == pytest.approx(10.0 + 0.9 + 0.1)


def test_a_slower_machine_than_last_time_is_noticed():
    """What is left takes longer too."""
    estimate = Estimate(NAMES, dict.fromkeys(NAMES, 2.0))
    for name in NAMES[:5]:
        estimate.taken_s[name] = 6.0
    assert estimate.left_s == pytest.approx(30.0)


def test_what_is_skipped_says_nothing_of_the_rest():
    """Forty tests of a model that is not here take a second; the next one takes as long as ever."""
    estimate = Estimate(NAMES, {})
    estimate.skipped.update(NAMES[:8])
    assert estimate.left_s is None
    estimate.taken_s[NAMES[8]] = 6.0
    assert estimate.over == 9
    assert estimate.left_s == pytest.approx(6.0)


@given(st.lists(st.floats(0.01, 100.0), min_size=10, max_size=10))
def test_a_run_like_the_last_one_ends_when_it_was_said(seconds):
    """At every moment what is left is the sum of the rest."""
    earlier = dict(zip(NAMES, seconds, strict=True))
    estimate = Estimate(NAMES, earlier)
    for name in NAMES:
        expected = sum(earlier[test] for test in NAMES if test not in estimate.taken_s)
        assert estimate.left_s == pytest.approx(expected, abs=1e-6)
        estimate.taken_s[name] = earlier[name]
    assert estimate.left_s == 0.0


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self):
        return True


IDS = tuple(f"test_capability.py::test_it[toy-f32@fake-{number}]" for number in range(4))


@pytest.fixture
def begun():
    """``begun(stream)``: the hooks of a run of four tests, its thread asleep, and the clock."""
    opened = []

    def begin(stream):
        toy = SimpleNamespace(identifier="toy-f32@fake")
        reporter = SimpleNamespace(ensure_newline=lambda: None, write_line=lambda _text: None)
        config = SimpleNamespace(
            getoption=lambda _name: "fd",
            get_verbosity=lambda: 0,
            option=SimpleNamespace(collectonly=False),
            pluginmanager=SimpleNamespace(get_plugin=lambda _name: reporter),
        )
        registry = SimpleNamespace(deployments=lambda: (toy,))
        clock = Clock()
        downloads = SimpleNamespace(seconds=0.0)
        state = SimpleNamespace(config=config, registry=registry, downloads=downloads)
        progress = Progress(state, stream, clock)
        opened.append(progress)
        items = [SimpleNamespace(nodeid=name) for name in IDS]
        progress.pytest_collection_finish(SimpleNamespace(items=items))
        return progress, clock

    yield begin
    for progress in opened:
        progress.close()


def report(name, when="teardown", outcome="passed", duration=2.0):
    """A phase of a test."""
    return SimpleNamespace(nodeid=name, when=when, outcome=outcome, duration=duration)


def test_without_a_terminal_a_line_comes_every_half_minute(begun):
    """Also within one test, which loads, downloads or makes weights: it is never silent."""
    stream = io.StringIO()
    progress, clock = begun(stream)
    progress.pytest_runtest_logstart(IDS[0])
    for _ in range(100):
        clock.now += SILENCE_S / 10
        progress._tick()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "0 of 4 tests, 30 s so far: toy-f32@fake capability"


def test_what_failed_and_what_is_left_is_told(begun):
    """As soon as it is known."""
    stream = io.StringIO()
    progress, clock = begun(stream)
    progress.pytest_runtest_logstart(IDS[0])
    progress.pytest_runtest_logreport(report(IDS[0], "call", "failed", 8.0))
    progress.pytest_runtest_logreport(report(IDS[0]))
    clock.now += 10.0
    assert progress.line() == (
        "1 of 4 tests, 1 failed, 10 s so far, about 30 s left: toy-f32@fake capability"
    )


def test_weights_that_were_fetched_in_a_test_are_not_its_time(begun):
    """The next run does not wait for them."""
    progress, _clock = begun(io.StringIO())
    progress._state.downloads.seconds = 95.0
    progress.pytest_runtest_logreport(report(IDS[0], "setup", duration=100.0))
    progress.pytest_runtest_logreport(report(IDS[0], "call", duration=3.0))
    progress.pytest_runtest_logreport(report(IDS[0], duration=0.0))
    assert progress._estimate.taken_s == {IDS[0]: 8.0}


def test_on_a_terminal_one_line_is_drawn_over_and_erased_at_the_end(begun, monkeypatch):
    """And is never wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    progress, _clock = begun(stream)
    progress.pytest_runtest_logstart(IDS[0])
    progress._tick()
    progress.close()
    assert "\n" not in stream.getvalue()
    drawn = [text for text in re.split(r"\r\x1b\[2K", stream.getvalue()) if text]
    assert drawn
    assert all(len(text) < 40 for text in drawn)
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_a_terminal_that_is_gone_ends_no_run(begun):
    """A closed window, a closed pipe."""
    stream = io.StringIO()
    progress, clock = begun(stream)
    stream.close()
    clock.now += 100
    progress._tick()


SUITE = """
import time
def test_slow(deployed):
    print("what a test prints stays captured")
    time.sleep(3)
"""


@pytest.mark.slow
def test_a_real_terminal_sees_a_line_while_a_test_runs(toy_project):
    """Through pytest's capture, on a pseudo-terminal."""
    toy_project.run("--collect-only", suite=SUITE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_suite.py"]
    command += ["--declarations", str(toy_project.declarations)]
    process = subprocess.Popen(command, cwd=toy_project.path, stdout=theirs, stderr=theirs)
    os.close(theirs)
    output = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            output += os.read(ours, 4096)
        except OSError:
            break
    assert process.wait(30) == 0
    text = output.decode()
    assert "0 of 1 tests" in text
    assert "toy-bf16-synthetic@fake suite" in text
    assert "stays captured" not in text
    assert re.search(
        r"[01] of 1 works?[,.]", text
    )  # the machine may be unfit, and nothing is measured
    assert DRAWN_S <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("option", ["-q", "-v"])
def test_quiet_and_verbose_are_as_people_know_them(toy_project, option):
    """Letters, or a line for each test."""
    text = toy_project.run(option).stdout.str()
    assert ("test_text[toy-bf16-synthetic@fake] PASSED" in text) == (option == "-v")
    assert "[100%]" in text
    assert "so far" not in text


def test_without_pytests_terminal_nothing_is_said_and_everything_is_stored(toy_project):
    """As other programs run pytest."""
    toy_project.run("--collect-only", suite=SUITE)
    words = ("--declarations", toy_project.declarations, "-p", "no:terminal", "test_suite.py")
    result = run_forked(toy_project.path, *words)
    assert result.ret == 0, result.stderr.str()
    assert result.stdout.str() == ""
    assert toy_project.query("select count(*) from checks") != [(0,)]


@pytest.mark.long
def test_a_real_run_with_synthetic_weights_is_never_silent(tmp_path):
    """Half a billion random weights, made, loaded and asked by a processor; ended after a while."""
    pytest.importorskip("llama_cpp")
    words = ["-m", "here", "--weights", "synthetic", "-k", "smolvlm", "-p", "no:cacheprovider"]
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "pytest", *words],
        cwd=tmp_path,
        env=own_variables() | {"QUALIFY_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    begun, moments, output = time.monotonic(), [time.monotonic()], b""
    while chunk := os.read(process.stdout.fileno(), 4096):
        moments.append(time.monotonic())
        output += chunk
        if moments[-1] - begun > 4 * SILENCE_S and process.poll() is None:
            process.terminate()
            begun = math.inf
    process.wait(60)
    silences = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert max(silences) < SILENCE_S + 2.0, output.decode()
    assert b"making smolvlm" in output or b" tests, 30 s so far" in output
