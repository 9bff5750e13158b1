"""The end of a run: its exit code, its last lines, and what is stored."""

import json
import math

import pytest

from qualification.core.paths import canaries
from qualification.results.store import Store


def test_a_good_deployment_passes_and_is_stored(toy_project):
    """Tests pass, a verdict line is printed, raw trials are in the database."""
    result = toy_project.run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*verdicts*", "toy-bf16-synthetic@fake*"])
    trials = toy_project.query("select metric, value, unit from trials")
    checks = toy_project.query("select test, outcome from checks")
    assert trials == [("decode_tps", 10.0, "tok/s"), ("decode_tps", 11.0, "tok/s")]
    assert sorted(checks) == [("test_second_image", "passed"), ("test_text", "passed")]


def test_nothing_is_stored_with_results_none(toy_project):
    """--results none leaves no database."""
    toy_project.run("--results", "none").assert_outcomes(passed=2)
    assert not (toy_project.path / "reports").exists()


def test_a_killed_run_that_stores_nothing_is_swept_up(toy_project, monkeypatch):
    """Its journal lies in the temporary folder, until the next run makes a folder there."""
    temporary = toy_project.path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    suite = """
    import os
    def test_one(deployed): pass
    def test_two(deployed): os.kill(os.getpid(), 9)
    """
    toy_project.run("--results", "none", suite=suite)
    assert len(list(temporary.glob("qualify-unkept-*/*/001-main.jsonl"))) == 1
    result = toy_project.run("--results", "none", "-k", "one", suite="")
    result.assert_outcomes(passed=1, deselected=1)
    assert "go on with" not in result.stdout.str()
    assert list(temporary.glob("qualify-*")) == []


@pytest.mark.slow
def test_several_processes_that_store_nothing_are_judged_together(toy_project):
    """The one that started them finds what they tried."""
    canary = {"weights": "canary", "path": str(canaries() / "smolvlm"), "tiers": None}
    result = toy_project.run("-n", "2", "--results", "none", **canary)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*verdicts*", "toy-bf16*@fake*"])


def test_a_run_that_could_try_nothing_is_not_green(toy_project):
    """Weights that cannot be had are skipped with the reason, and the exit code is not 0."""
    result = toy_project.run(options={"on_load": "no_weights"})
    result.assert_outcomes(skipped=2)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*1 × toy/toy@main is not in the local hub cache"])
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake*not tried*"])


def test_a_failed_verdict_fails_a_run_whose_tests_are_green(toy_project):
    """A budget or an impossible figure fails by itself, without a test of its own."""
    suite = """
    def test_one(deployed): deployed.record("load_s", -5.0)
    """
    result = toy_project.run(suite=suite)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["toy-bf16-synthetic@fake*failed*", "*fail: *"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_value_that_is_not_a_number_loses_no_other_trial(toy_project):
    """One NaN among the trials: the other trials are stored, and it comes back as NaN."""
    suite = """
    def test_one(deployed): deployed.record("decode_tps", float("nan"), 10.0)
    """
    toy_project.run(suite=suite)
    store = Store(f"sqlite:///{toy_project.path / 'reports/results.sqlite'}")
    values = [trial.value for trial in store.results(store.latest()).trials]
    assert math.isnan(values[0])
    assert values[1] == 10.0


def test_parameters_of_a_test_are_stored_with_its_name(toy_project):
    """Two cases of one test are two checks."""
    suite = """
    import pytest

    @pytest.mark.parametrize("colour", ["red", "blue"])
    def test_sees(deployed, colour): assert deployed.ask("What?") == colour
    """
    toy_project.run(suite=suite)
    checks = toy_project.query("select test, outcome from checks order by number")
    assert checks == [("test_sees[red]", "passed"), ("test_sees[blue]", "failed")]


def test_an_interrupted_run_is_stored_as_such(toy_project):
    """Ctrl-C: the checks so far are stored, and what was not tried."""
    suite = """
    def test_one(deployed): deployed.ask("one")
    def test_two(deployed): raise KeyboardInterrupt
    """
    result = toy_project.run(suite=suite)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    ((record,),) = toy_project.query("select record from sessions")
    assert json.loads(record)["untried"] == {"toy-bf16-synthetic@fake": 1}
    assert "0 of 1 work, 1 was not tried to its end." in result.outlines


def test_a_damaged_baseline_is_reported_and_loses_no_results(toy_project):
    """The file is named in the verdict, and the measurements are stored."""
    folder = toy_project.path / "baselines/linux_cpu"
    folder.mkdir(parents=True)
    file = folder / "toy-bf16-synthetic@fake.json"
    file.write_text('{"schema_version": 1, "sess')
    result = toy_project.run()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*toy-bf16-synthetic@fake*failed*", "*baseline cannot be read*"])
    assert file.read_text() == '{"schema_version": 1, "sess'
    assert (toy_project.path / "reports/results.sqlite").exists()


def test_results_that_cannot_be_stored_are_reported_and_the_run_is_not_green(
    toy_project, tmp_path, monkeypatch
):
    """A database whose place is gone when the run ends is no detail; the journal is kept."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    suite = """
    import shutil
    from pathlib import Path

    def test_one(deployed):
        shutil.rmtree("reports", ignore_errors=True)
        Path("reports").write_text("a file where the folder was")
    """
    result = toy_project.run(suite=suite)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["THE RESULTS WERE NOT STORED: */reports*"])
    assert len([*tmp_path.glob("qualify-journal-*")]) == 1


TIMED = """
def test_speed(benchmark, deployed):
    benchmark.pedantic(lambda: deployed.ask("Hello"), rounds=2)
    benchmark.extra_info["deployment"] = deployed.identifier
    deployed.record("decode_tps", 10.0)
"""


@pytest.mark.parametrize(
    ("words", "own", "is_shown"),
    [((), "", False), (("-v",), "", True), ((), "def test_b(benchmark): benchmark(int)", True)],
    ids=["ours", "-v", "the user's own"],
)
def test_the_table_of_benchmarks_is_left_out_where_the_screen_has_its_figures(
    toy_project, words, own, is_shown
):
    """It is wider than the screen, with a line for each model."""
    result = toy_project.run(*words, suite=TIMED + own)
    assert ("Rounds" in str(result.stdout)) is is_shown
