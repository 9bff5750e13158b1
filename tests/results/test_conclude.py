"""A session's end: each deployment is judged once, and everything is stored."""

import pytest

from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Results, Trial
from qualification.judging.baselines.storage import accept
from qualification.models.loading import load_registry
from qualification.results.conclude import conclude, keep
from qualification.results.rows import rejected, rows
from qualification.results.store import Store
from qualification.results.terminal import findings
from qualification.session.journal import Journal, Run
from tests.support.stored_sample import session as stored_session
from tests.support.verdict_sample import AIR, GOOD, PASSED, REAL, findings_of, trials

NOW = stored_session("now")


@pytest.fixture
def run():
    """A run of one good deployment; its machine is of the tier air_m4."""
    journal = Journal(checks=[PASSED])
    journal.add(*trials(GOOD))
    return Run(NOW, AIR, journal, {REAL.identifier: REAL})


def test_without_a_baseline_there_is_nothing_to_compare_with(run, tmp_path):
    """One verdict for each deployment."""
    (verdict,) = conclude(run, tmp_path)
    assert (verdict.deployment, verdict.name) == (REAL.identifier, "no_baseline")


def test_a_session_is_compared_with_the_accepted_ones_of_its_tier(run, tmp_path):
    """The baseline of the machine's own tier, whatever else lies in the folder."""
    slow = tuple(Trial(REAL.identifier, "decode_tps", 40.0, "tok/s", 0, "throughput") for _ in "ab")
    accept(tmp_path, stored_session("old"), slow)
    (verdict,) = conclude(run, tmp_path)
    assert [status for status, _ in findings_of(verdict, "decode_tps")] == ["pass", "suspect"]


def test_a_session_of_other_weights_has_no_baseline_and_says_why(run, tmp_path):
    """In the terminal too, in one sentence: the library did not become slower."""
    accept(tmp_path, stored_session("old"), tuple(trials(GOOD)), "0123456789abcdef")
    run.journal.load_reports[REAL.identifier] = LoadReport(
        1.0, 1.0, 0.5, "gpu", 5 * 10**9, "fedcba9876543210", {}
    )
    (verdict,) = conclude(run, tmp_path)
    assert verdict.name == "no_baseline"
    *_, line = findings([verdict])
    assert line == (
        "    warn: Other weights were measured (revision fedcba987654) than in the baseline "
        "(0123456789ab), so nothing is compared with it."
    )


def test_a_damaged_baseline_fails_the_deployment_and_loses_no_result(run, tmp_path):
    """The findings of the session are there beside it."""
    accept(tmp_path, stored_session("old"), tuple(trials(GOOD))).write_text("{")
    (verdict,) = conclude(run, tmp_path)
    assert verdict.name == "failed"
    ((status, sentence),) = findings_of(verdict, "baseline")
    assert status == "fail"
    assert sentence.startswith("The baseline cannot be read, so nothing is compared with it: ")
    assert findings_of(verdict, "load_s")[0][0] == "pass"


def test_a_deployment_that_does_not_fit_is_judged_by_its_prediction(run, tmp_path):
    """It was never loaded."""
    run.journal.does_not_fit[REAL.identifier] = "predicted 40 GB"
    (verdict,) = conclude(run, tmp_path)
    assert (verdict.name, verdict.findings[0].sentence) == ("does_not_fit", "Predicted 40 GB.")


def test_the_verdict_says_what_to_do_about_a_known_bug_that_showed(run, tmp_path):
    """By the declarations that the run was made with."""
    bug = load_registry().bugs[0]
    run.journal.checks.append(
        Check(REAL.identifier, "state", "test_again", "xfailed", known_bug=bug.identifier)
    )
    (verdict,) = conclude(run, tmp_path, [bug])
    ((_, sentence),) = findings_of(verdict, "known_bug")
    assert f"workaround: {bug.workaround}; see {bug.issue}" in sentence
    assert any(bug.workaround in line for line in findings([verdict]))


def test_the_roofline_is_that_of_the_files_that_were_loaded(run, tmp_path):
    """Verdict, table and acceptance have it alike; a name alone would have let the speed pass."""
    read = int(NOW.machine.bandwidth / 20)
    report = LoadReport(1.0, 1.0, 0.5, "gpu", 5 * 10**9, "", {}, decode_bytes=read)
    run.journal.load_reports[REAL.identifier] = report
    judged = conclude(run, tmp_path)
    ((status, sentence), *_) = findings_of(judged[0], "decode_tps")
    assert status == "fail"
    assert "is over 20.0 tok/s" in sentence
    results = Results(NOW, judged, run.journal.trials, (PASSED,), run.journal.load_reports)
    registry = load_registry()
    (row,) = rows(results, registry)
    assert row.roofline_tps == pytest.approx(20, rel=0.01)
    assert rejected(REAL.identifier, results, registry) == row.rejected != ""


def test_a_session_is_stored_whole(run, tmp_path):
    """With its verdicts, trials and checks; 'none' stores nothing."""
    url = f"sqlite:///{tmp_path / 'results.sqlite'}"
    judged = conclude(run, tmp_path)
    keep(run, judged, "none")
    assert not (tmp_path / "results.sqlite").exists()
    keep(run, judged, url)
    stored = Store(url).results("now")
    assert (stored.session, stored.verdicts) == (NOW, judged)
    assert (stored.trials, stored.checks) == (tuple(trials(GOOD)), (PASSED,))
    assert isinstance(stored.checks[0], Check)
