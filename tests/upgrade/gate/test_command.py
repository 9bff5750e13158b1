"""``qualify gate`` as a user types it: exit codes, reports, and resuming after kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qualification.upgrade.gate.journal import NAME, read
from qualification.upgrade.gate.report import read_result
from tests.support import gate_toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The toy's declarations, and an interpreter that answers and one that does not."""
    root = tmp_path_factory.mktemp("gate")
    good = gate_toy.interpreter(root / "good", gate_toy.GOOD)
    bad = gate_toy.interpreter(root / "bad", gate_toy.BAD)
    return gate_toy.declarations(root / "declared"), good, bad


def command(place, folder, b="good", *more):
    """The command line of a gate of the toy."""
    declared, good, bad = place
    return [
        *(sys.executable, "-m", "qualification", "gate"),
        *("--from", str(good)),
        *("--to", str({"good": good, "bad": bad}[b])),
        *("--declarations", str(declared)),
        *("--weights", "synthetic"),
        *("--backend", "fake"),
        *("--output", str(folder)),
        *("--seed", "3"),
        *more,
    ]


def typed(arguments, **more):
    """Run it to its end."""
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, **more)


def test_equal_interpreters_pass_and_leave_four_reports(place, tmp_path):
    """Exit code 0; the job summary of CI is appended to."""
    summary = tmp_path / "summary.md"
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(summary)}
    done = typed(command(place, tmp_path / "g", "good", "--metrics", "none"), env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {file.name for file in (tmp_path / "g").iterdir()}
    assert names == {NAME, "gate.md", "gate.html", "gate.json", "gate.xml"}
    assert summary.read_text().strip()


def test_a_regression_is_exit_code_1_and_named(place, tmp_path):
    """In the last lines on the screen and in gate.json."""
    done = typed(command(place, tmp_path / "g", "bad", "--metrics", "none"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "answers of toy-bf16-synthetic@fake" in " ".join(done.stdout.split())
    assert (
        json.loads((tmp_path / "g" / "gate.json").read_text())["result"]["verdict"] == "regressed"
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--metrics", "latency"], "is no metric of the gate"),
        (["--models", "nothing-*"], "no deployment"),
        (["--to", "curent"], "current"),
        (["--as-of", "2026-03-31"], "--as-of dates what comes with pins"),
    ],
)
def test_a_wrong_order_is_one_sentence_and_exit_code_2(place, tmp_path, more, message):
    """Nothing is begun."""
    done = typed(command(place, tmp_path / "g", "good", *more))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "g").exists()


def test_nothing_to_move_to_is_no_gate(place, tmp_path):
    """An empty CANDIDATE in CI would otherwise compare the baseline with itself, and pass."""
    arguments = command(place, tmp_path / "g")
    end = arguments.index("--to")
    done = typed([*arguments[:end], *arguments[end + 2 :], "--candidate", ""])
    assert done.returncode == 2
    assert "--candidate" in done.stderr


def test_a_gate_that_was_killed_goes_on_and_decides_alike(place, tmp_path):
    """kill -9 at several moments of one gate; then its observations are those of a whole one."""
    metrics = ("--metrics", "peak_memory_bytes")
    uninterrupted = typed(command(place, tmp_path / "uninterrupted", "bad", *metrics))
    assert uninterrupted.returncode == 1, uninterrupted.stdout + uninterrupted.stderr
    folder = tmp_path / "killed"
    arguments = command(place, folder, "bad", *metrics)
    for lines in (1, 3, 6, 9):
        gate = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        _wait_for(folder / NAME, lines, gate)
        gate.send_signal(signal.SIGKILL)
        gate.wait()
        arguments = [*command(place, folder, "bad")[:4], "--resume", str(folder)]
        arguments += ["--declarations", str(place[0])]
    done = typed(arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    expected = read_result(tmp_path / "uninterrupted/gate.json")
    resumed = read_result(folder / "gate.json")
    for result in (expected, resumed):
        keys = [(o.deployment, o.side, o.attempt) for o in result.observations]
        assert len(keys) == len(set(keys))
        assert [pair.number for pair in result.pairs] == list(range(len(result.pairs)))
    assert [(f.check, f.verdict) for f in resumed.behaviour] == [
        (f.check, f.verdict) for f in expected.behaviour
    ]
    assert [pair.leader for pair in resumed.pairs] == [pair.leader for pair in expected.pairs]
    assert [(f.metric, f.verdict) for f in resumed.metrics] == [
        (f.metric, f.verdict) for f in expected.metrics
    ]
    assert not (folder / "scratch").exists()


def test_an_interrupted_gate_says_how_to_go_on(place, tmp_path):
    """SIGTERM: workers ended, the journal whole, the sentence with the folder."""
    folder = tmp_path / "g"
    gate = subprocess.Popen(
        command(place, folder, "bad", "--metrics", "peak_memory_bytes"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _wait_for(folder / NAME, 2, gate)
    gate.terminate()
    _, message = gate.communicate(timeout=60)
    assert gate.returncode == 2
    assert f"--resume {folder}" in " ".join(message.split())
    assert read(folder).observations


def _wait_for(journal: Path, lines: int, gate: subprocess.Popen) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and gate.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.02)
