"""A session's end: each deployment is judged once, and everything is stored."""

import pytest

from qualification.core.results import Check, Trial
from qualification.judging.baselines.storage import accept
from qualification.results.conclude import conclude, keep
from qualification.results.store import Store
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
