"""The shipped known bugs against the shipped suites: each must match what its test really says."""

import re

import pytest

from qualification.registry import load_registry

SAID = {
    "llava-state-corruption": "BackendFailed: ValueError: input operand has more dimensions than "
    "allowed by the axis remapping",
    "qwen2.5-vl-two-pictures": "AssertionError: of 5 questions about two pictures, wrong ones: []",
    "smolvlm-split-pictures": "AssertionError: 50.0% right, first wrong ones: []",
    "qwen2.5-vl-3b-varying-speed": "Failed: decoding speed varies by 75%, twice: 8.8, 34.4 tok/s",
    "qwen2.5-vl-3b-slow-load": "AssertionError: loading took 35.4 s, the limit is 10.0 s",
    "moondream2-no-text-only": "AssertionError: text-only question 'Which digit is five?' -> '', "
    "expected '5'",
    "transformers-cache-warning": "Failed: hub.py:110: FutureWarning: Using `TRANSFORMERS_CACHE` "
    "is deprecated and will be removed in v5 of Transformers.",
    "fast-processor-warning": "Failed: The image processor of type `Qwen2VLImageProcessor` is now "
    "loaded as a fast processor by default",
}
"""What each test says when it fails; the first and the last two as seen in real runs."""


@pytest.mark.parametrize("bug", load_registry().bugs, ids=lambda bug: bug.identifier)
def test_each_bug_matches_its_own_failure_and_no_other(bug):
    """A regex that fits nothing would never excuse; one that fits others would excuse too much."""
    assert re.search(bug.failure, SAID[bug.identifier])
    for identifier, text in SAID.items():
        if identifier not in (bug.identifier, "qwen2.5-vl-two-pictures", "smolvlm-split-pictures"):
            assert not re.search(bug.failure, text), identifier
    for crash in ("WorkerCrashed: the worker died of SIGSEGV", "WorkerTimedOut: generate took"):
        assert not re.search(bug.failure, crash)


@pytest.mark.parametrize("bug", load_registry().bugs, ids=lambda bug: bug.identifier)
def test_each_bug_names_a_test_that_exists(bug):
    """A renamed test would leave its bug without effect."""
    from qualification.places import home

    suites = "\n".join(
        file.read_text() for file in (home() / "qualification/suites").glob("test_*.py")
    )
    for test in bug.tests:
        assert f"def {test}(" in suites
