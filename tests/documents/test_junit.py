"""A session as JUnit: what a CI job shows."""

from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.results import Check, Verdict
from qualification.documents.junit import session_junit
from tests.documents.sample_documents import SMALL, WRONG
from tests.documents.sample_documents import session as sample
from tests.support.session_sample import DEPLOYMENT, results, session


def cases(stored):
    """Deployment -> case -> the names of the elements in it."""
    root = ElementTree.fromstring(session_junit(stored).encode())
    return {
        suite.get("name"): {case.get("name"): [element.tag for element in case] for case in suite}
        for suite in root
    }


def test_a_failed_verdict_is_a_failure_and_a_known_bug_is_skipped():
    """As pytest shows them."""
    suites = cases(sample())
    assert suites[SMALL]["verdict"] == ["failure"]
    assert suites[SMALL]["quality: test_says_what_it_sees[colour]"] == ["failure"]
    assert suites[WRONG]["quality: test_answers"] == ["skipped"]


def test_what_is_not_decided_is_not_green():
    """An error."""
    for advice in ("untested", "usable"):
        verdict = Verdict(DEPLOYMENT, "inconclusive", advice)
        assert cases(results(verdicts=(verdict,)))[DEPLOYMENT]["verdict"] == ["error"]
    passed = Verdict(DEPLOYMENT, "pass", "usable")
    assert cases(results(verdicts=(passed,)))[DEPLOYMENT]["verdict"] == ["system-out"]
    half = replace(session(), untried={DEPLOYMENT: 3})
    stored = results(session=half, verdicts=(passed,))
    assert cases(stored)[DEPLOYMENT]["verdict"] == ["error"]


@settings(deadline=None)
@given(st.text())
def test_any_text_is_xml(text):
    """Control characters and lone surrogates too; the counts add up."""
    check = Check(DEPLOYMENT, "quality", "test", "failed", text)
    root = ElementTree.fromstring(session_junit(results(checks=(check,))).encode())
    assert int(root.get("tests")) == len(list(root.iter("testcase"))) == 2
    assert int(root.get("failures")) == 2
