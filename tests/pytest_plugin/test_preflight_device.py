"""A run that measures is refused before its first test while another session does."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from qualification.core.paths import canaries
from qualification.session.device_lock import measuring
from tests.support.toy_project import NAME

TIMES = """
import pytest
from pathlib import Path

pytestmark = pytest.mark.throughput

def test_speed(deployed):
    deployed.record("decode_tps", 10.0)
    Path("asked").touch()
"""
ANSWERS = TIMES.replace("throughput", "capability")
DIES = (
    TIMES
    + """
def test_again(deployed):
    import os
    if not Path("died").exists():
        Path("died").touch()
        os.kill(os.getpid(), 9)
"""
)
WAITS = TIMES + "    import time; time.sleep(60)\n"


@pytest.fixture
def busy(tmp_path, monkeypatch):
    """Another session measures on this machine."""
    monkeypatch.setenv("QUALIFY_LOCKS", str(tmp_path / "locks"))
    with measuring("qualify gate", Path("/a project")):
        yield


def test_a_run_that_measures_is_refused_while_another_session_does(toy_project, busy):
    """In one sentence: who it is, and what to do."""
    result = toy_project.run(suite=TIMES)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (sentence,) = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert "qualify gate (process " in sentence
    assert "in /a project since 2" in sentence
    assert "wait until it ends, or run what is not measured: with -n 2, or without" in sentence
    assert not (toy_project.path / "asked").exists()


@pytest.mark.parametrize(
    ("words", "suite"),
    [((), ANSWERS), (("--collect-only",), TIMES), (("-k", "nothing"), TIMES)],
    ids=["answers", "collected", "none selected"],
)
def test_a_run_that_measures_nothing_goes_on_beside_it(toy_project, busy, words, suite):
    """It neither waits nor is refused."""
    assert toy_project.run(*words, suite=suite).ret != pytest.ExitCode.USAGE_ERROR
    assert (toy_project.path / "asked").exists() == (suite is ANSWERS)


@pytest.mark.slow
def test_a_run_in_several_processes_goes_on_beside_it(toy_project, busy):
    """Its figures are unfit anyway."""
    canary = {"weights": "canary", "path": str(canaries() / "smolvlm"), "tiers": None}
    toy_project.run("-n", "2", suite=TIMES, **canary).assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_next_run_begins_when_the_owner_was_killed(toy_project, tmp_path, monkeypatch):
    """The second run names the first, as long as that lives."""
    monkeypatch.setenv("QUALIFY_LOCKS", str(tmp_path / "locks"))
    toy_project.run("--collect-only", suite=WAITS)
    words = ["--declarations", str(toy_project.declarations), "test_suite.py"]
    owner = subprocess.Popen(
        [sys.executable, "-m", "pytest", *words],
        cwd=toy_project.path,
        stdout=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 60
        while not (toy_project.path / "asked").exists():
            assert time.monotonic() < end
            assert owner.poll() is None
            time.sleep(0.05)
        result = toy_project.run("--results", "none", suite=TIMES)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        sentence = result.stderr.str()
        assert f"ERROR: pytest (process {owner.pid}) in {toy_project.path} since" in sentence
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert toy_project.run(suite=TIMES).ret == 0


def test_a_lock_without_a_place_stops_the_run(toy_project, tmp_path, monkeypatch):
    """As other places that cannot be written do."""
    monkeypatch.setenv("QUALIFY_LOCKS", "/dev/null")
    result = toy_project.run(suite=TIMES)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "name a folder of yours with QUALIFY_LOCKS" in result.stderr.str()


@pytest.mark.slow
def test_a_session_that_cannot_be_resumed_now_stays_as_it_is(toy_project, tmp_path, monkeypatch):
    """Its journal is not taken for a session that is over."""
    monkeypatch.setenv("QUALIFY_LOCKS", str(tmp_path / "locks"))
    assert toy_project.run(suite=DIES).ret == -signal.SIGKILL
    sessions = toy_project.path / "reports/sessions"
    (before,) = sessions.iterdir()
    with measuring("qualify gate", Path("/a project")):
        assert toy_project.run("--resume", suite="").ret == pytest.ExitCode.USAGE_ERROR
    assert list(sessions.iterdir()) == [before]
    assert toy_project.query("select count(*) from sessions") == [(0,)]
    result = toy_project.run("--resume", suite="")
    assert result.ret == 0
    result.assert_outcomes(passed=1, deselected=1)


GATE = """
import sys
from pathlib import Path
from qualification.session.device_lock import measuring

with measuring("qualify gate", Path("/x")):
    Path("gated").touch()
"""


@pytest.mark.slow
def test_the_gate_of_a_suspect_measures_after_its_run(toy_project):
    """The run has let go of the lock, though it still lives."""
    (toy_project.path / "gate.py").write_text(GATE)
    suite = f"""
    import sys, pytest
    import qualification.upgrade.suspects as gates

    gates.QUALIFY = (sys.executable, "gate.py")
    gates.suspects = lambda *_, **__: [gates.Suspect("{NAME}", ())]
    gates.gate_command = lambda *_: ["qualify", "gate"]

    @pytest.mark.throughput
    def test_speed(deployed):
        deployed.record("decode_tps", 10.0)
    """
    result = toy_project.run("--gate-suspects", suite=suite)
    assert result.ret == 0, "\n".join([*result.outlines, *result.errlines])
    assert (toy_project.path / "gated").exists()
