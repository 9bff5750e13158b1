"""``qualify accept``: by several processes at once, and of a session that has not all its tests."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.results import Condition, Verdict
from qualification.judging.baselines.storage import baseline_path, read_baseline
from qualification.results.store import Store
from tests.support.session_sample import DEPLOYMENT, results, session, trials

VERDICTS = (Verdict(DEPLOYMENT, "no_baseline", "usable"),)
CODE = """
import sys
from qualification.cli import main
for name in sys.argv[1:]:
    main(["accept", "--any-machine", "--session", name], standalone_mode=False)
"""


@pytest.mark.slow
def test_eight_processes_that_accept_at_once_lose_no_session(tmp_path):
    """Three sessions each; every one is there once, and no lock remains."""
    store = Store(f"sqlite:///{tmp_path / 'reports/results.sqlite'}")
    names = [f"session-{number:02}" for number in range(24)]
    for name in names:
        store.keep(results(session=session(name), verdicts=VERDICTS))
    variables = {**os.environ, "QUALIFY_HOME": str(tmp_path)}
    variables.pop("QUALIFY_RESULTS", None)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, *names[begin : begin + 3]],
            env=variables,
            stdout=subprocess.DEVNULL,
        )
        for begin in range(0, 24, 3)
    ]
    assert [process.wait(120) for process in processes] == [0] * 8
    path = baseline_path(tmp_path / "baselines", "linux_cpu", DEPLOYMENT)
    accepted = [session.identifier for session in read_baseline(path).sessions]
    assert sorted(accepted) == names
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_session_is_left_out_and_says_why(tmp_path, monkeypatch):
    """A part of the tests is no baseline, whatever the verdict says."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    interrupted = Condition("run", "interrupted", False, "not all of it was tried")
    record = replace(session(), conditions=(interrupted,))
    Store(f"sqlite:///{tmp_path / 'reports/results.sqlite'}").keep(
        results(session=record, verdicts=VERDICTS)
    )
    done = CliRunner().invoke(main, ["accept", "--any-machine"])
    assert done.exit_code == 0, done.output
    assert f"left out: {DEPLOYMENT} (the run was interrupted, so not all of" in done.output
    assert not (tmp_path / "baselines").exists()


@pytest.fixture
def several(tmp_path, monkeypatch):
    """A stored session with three deployments; returns a function that accepts it."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    names = [f"{letter}-f32@mlx" for letter in "abc"]
    Store(f"sqlite:///{tmp_path / 'reports/results.sqlite'}").keep(
        results(
            verdicts=tuple(Verdict(name, "no_baseline", "usable") for name in names),
            trials=tuple(
                trial for name in names for trial in trials("load_s", 0.5, deployment=name)
            ),
            load_reports={},
        )
    )
    return lambda *words: CliRunner().invoke(main, ["accept", "--any-machine", *words])


def test_what_was_accepted_before_is_named_and_the_others_are_accepted(several, tmp_path):
    """Wherever it stands among them; a second time nothing changes."""
    assert several("b-f32@mlx").exit_code == 0
    done = several()
    assert done.exit_code == 0, done.output
    folder = tmp_path / "baselines/linux_cpu"
    assert [path.name[0] for path in sorted(folder.iterdir())] == ["a", "b", "c"]
    assert done.stdout.splitlines() == [str(folder / f"{name}-f32@mlx.json") for name in "ac"]
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"accepted before: b-f32@mlx ({folder / 'b-f32@mlx.json'}: has session")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = several()
    assert done.exit_code == 0
    assert done.stdout == ""
    assert [line.partition("-")[0] for line in done.stderr.splitlines()] == [
        f"accepted before: {name}" for name in "abc"
    ]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_baseline_that_cannot_be_read_keeps_no_other_from_being_accepted(several, tmp_path):
    """It is named, stays as it is, and the exit code is 2."""
    file = tmp_path / "baselines/linux_cpu/a-f32@mlx.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    done = several()
    assert done.exit_code == 2
    assert f"qualify: {file}: is not JSON" in done.stderr
    assert file.read_text() == "{"
    assert len(done.stdout.splitlines()) == 2
