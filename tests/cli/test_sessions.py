"""``qualify sessions``: what is stored, in its order, and what can be resumed."""

import json

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.results.store import Store
from qualification.session.session import parallel_condition
from tests.session.test_run_journal import A, written
from tests.support.session_sample import results, session


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    return tmp_path


def listed(*words):
    """The command's output."""
    outcome = CliRunner().invoke(main, ["sessions", *words])
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_stored_sessions_stand_in_their_order(project):
    """Whatever their clocks said."""
    assert listed() == "no session yet; run pytest -m canary first\n"
    store = Store(f"sqlite:///{project}/reports/results.sqlite")
    for name, started in (("b", "2099-01-01T00:00:00"), ("a", "2026-01-01T00:00:00")):
        store.keep(results(session=session(name=name, started=started)))
    assert [line.split()[0] for line in listed().splitlines()] == ["b", "a"]
    assert [record["session"] for record in json.loads(listed("--json"))] == ["b", "a"]


def test_an_interrupted_session_says_how_to_go_on(project):
    """With what is left to do; a damaged one says why it cannot."""
    folder = project / "reports/sessions/s1"
    written(folder, "one", selected={A: 3}, conditions=(parallel_condition(2),))
    assert listed() == (
        "s1  interrupted: 1 tests are finished, 2 are left; go on with: pytest --resume=s1\n"
    )
    (record,) = json.loads(listed("--json"))
    assert record == {"session": "s1", "finished": 1, "remaining": {A: 2}, "attempts": 1}
    (file,) = folder.iterdir()
    file.write_bytes(b"{\n" + file.read_bytes())
    assert "s1  cannot be resumed: " in listed()
