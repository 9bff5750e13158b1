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
from tests.support.session_sample import DEPLOYMENT, results, session

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
