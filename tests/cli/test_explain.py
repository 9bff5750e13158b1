"""``qualify explain``: a figure of a stored session, from its raw trials."""

import json

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from qualification.cli import main
from qualification.results.store import Store
from tests.support.session_sample import DEPLOYMENT, results, session, trials


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two stored sessions of another machine."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    store = Store(f"sqlite:///{tmp_path / 'reports/results.sqlite'}")
    store.keep(results(session=session("before"), trials=trials("load_s", 9.0)))
    store.keep(results(session=session("newest")))
    return tmp_path


def explain(*words):
    """Run the command on the newest session of all machines."""
    return CliRunner().invoke(main, ["explain", *words, "--any-machine"])


def test_a_figure_is_shown_with_its_trials(project):
    """And with the session that it is of."""
    done = explain(DEPLOYMENT, "decode_tps")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"decode_tps of {DEPLOYMENT}: 95.4 tok/s, the median of 3\n")
    for text in ("  94.58\n", "  95.37\n", "  96.26\n", "session       newest, started"):
        assert text in done.output
    assert f"  qualify explain {DEPLOYMENT} --any-machine\n" in done.output


def test_without_a_metric_all_are_listed(project):
    """With the reasons of those that are missing."""
    done = explain(DEPLOYMENT)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{DEPLOYMENT}: 2 metrics measured\n")
    assert "Not measured" in done.output
    assert "not selected" in done.output


def test_a_session_can_be_named(project):
    """An older one; the next commands name it too."""
    done = explain(DEPLOYMENT, "load_s", "--session", "before")
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"load_s of {DEPLOYMENT}: 9.00 s")
    assert "--session before" in done.output


def test_json_is_for_a_program(project):
    """Both forms."""
    one_metric = json.loads(explain(DEPLOYMENT, "decode_tps", "--json").stdout)
    assert [trial["value"] for trial in one_metric["trials"]] == [94.58, 95.37, 96.26]
    assert one_metric["statistics"]["median"] == 95.37
    every_metric = json.loads(explain(DEPLOYMENT, "--json").stdout)
    assert [line["metric"] for line in every_metric["metrics"]] == ["load_s", "decode_tps"]
    assert every_metric["missing"][0]["reason"]


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (("smolvlm-canary-f32",), DEPLOYMENT),
        ((DEPLOYMENT, "tps"), "decode_tps"),
        ((DEPLOYMENT, "ttft"), "ttft_s"),
    ],
)
def test_a_wrong_name_is_one_sentence_with_the_nearest(project, words, nearest):
    """Exit code 2."""
    done = explain(*words)
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1
    assert f"did you mean {nearest}" in done.output


def test_no_session_of_this_machine_is_one_sentence(project):
    """The stored ones are of a machine that this is not."""
    done = CliRunner().invoke(main, ["explain", DEPLOYMENT])
    assert done.exit_code == 2
    assert "no session of this machine yet" in done.output


def test_no_login_of_a_database_is_repeated(project):
    """Its file is; an address may hold a password."""
    file = project / "reports/results.sqlite"
    assert f"--results {file}" in explain(DEPLOYMENT, "--results", str(file)).output
    assert "--results" not in explain(DEPLOYMENT, "--results", f"sqlite:///{file}").output


@pytest.mark.parametrize(
    ("words", "typed", "name"),
    [
        ([], "smolvlm-canary-f32@ll", "smolvlm-canary-f32@llamacpp"),
        ([DEPLOYMENT], "decode", "decode_tps"),
        ([DEPLOYMENT], "peak", "peak_memory_bytes"),
    ],
)
def test_a_shell_completes_deployments_and_metrics(project, words, typed, name):
    """No model's name, which is none of a deployment."""
    completion = ShellComplete(main, {}, "qualify", "_QUALIFY_COMPLETE")
    offered = {offer.value for offer in completion.get_completions(["explain", *words], typed)}
    assert name in offered
    assert all("@" in offer for offer in offered) == (not words)
