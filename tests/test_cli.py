"""The command line: one sentence for a user's mistake, files for a user's wish."""

import json

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.places import home
from qualification.store import Store
from tests.sample import DEPLOYMENT, results, session


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project root with one stored session."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    Store(f"sqlite:///{tmp_path / 'reports/results.sqlite'}").keep(
        results(verdicts=(results().verdicts[0].__class__(DEPLOYMENT, "no_baseline", "usable"),))
    )
    return tmp_path


def qualify(*arguments):
    """Run the command."""
    return CliRunner().invoke(main, arguments)


def test_report_writes_both_documents(project):
    """The files are named on standard output."""
    done = qualify("report", "--any-machine")
    assert done.exit_code == 0, done.output
    assert (project / "reports/latest/recommendations.md").exists()
    assert (project / "reports/latest/recommendations.html").exists()


def test_report_without_results_says_what_to_do(tmp_path, monkeypatch):
    """No session yet: exit 2 and one sentence."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    done = qualify("report", "--any-machine")
    assert done.exit_code == 2
    assert "run pytest -m canary first" in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_report_never_shows_another_machines_session_unasked(project):
    """The stored session is of a machine that this is not."""
    done = qualify("report")
    assert done.exit_code == 2
    assert "no session of this machine yet" in done.output


def test_a_folder_that_cannot_be_written_is_one_sentence(project):
    """Not a traceback."""
    done = qualify("report", "--any-machine", "--output", "/proc/nowhere")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1


def test_accept_writes_a_baseline_with_the_raw_trials(project):
    """One file per tier and deployment."""
    done = qualify("accept", "--any-machine")
    assert done.exit_code == 0, done.output
    (file,) = (project / "baselines/linux_cpu").glob("*.json")
    kept = json.loads(file.read_text())
    values = [t["value"] for t in kept["sessions"][0]["trials"] if t["metric"] == "decode_tps"]
    assert values == [94.58, 95.37, 96.26]


def test_accepting_what_did_not_run_is_refused(project):
    """The sentence lists what did."""
    done = qualify("accept", "--any-machine", "moondream2-bf16@mlx")
    assert done.exit_code == 2
    assert DEPLOYMENT in done.output
    assert not (project / "baselines").exists()


def test_a_failed_deployment_is_never_accepted(project):
    """A baseline of wrong answers would hide them."""
    Store(f"sqlite:///{project / 'reports/results.sqlite'}").keep(
        results(session=session("later", "2026-02-02T00:00:00+00:00"))
    )
    done = qualify("accept", "--any-machine")
    assert f"left out: {DEPLOYMENT} (failed)" in done.output
    assert not (project / "baselines").exists()


def test_doctor_speaks_json():
    """Machine, tier and backends, for a program."""
    done = qualify("doctor", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["machine"]["cpu_cores"] >= 1
    names = {backend["name"] for backend in report["backends"]}
    assert names == {"mlx", "torch", "llamacpp"}


def test_doctor_speaks_to_a_person():
    """The tier and every backend are named."""
    done = qualify("doctor")
    assert done.exit_code == 0, done.output
    for word in ("mlx", "torch", "llamacpp", "memory"):
        assert word in done.output


def test_the_project_root_holds_the_fixtures():
    """An editable install finds the repository."""
    assert (home() / "fixtures/canaries").is_dir()
