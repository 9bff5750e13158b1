"""What is to be qualified, and which known bug applies, from data alone."""

from dataclasses import replace

import pytest

from qualification.plan import does_not_fit, in_range, known_bugs, marks
from qualification.registry import load_registry
from tests.sample import session

REGISTRY = load_registry()
SEVEN = REGISTRY.deployment("qwen2.5-vl-7b-4bit@mlx")
BIG = REGISTRY.deployment("qwen2.5-vl-72b-4bit@mlx")
LLAVA = REGISTRY.deployment("llava-1.6-mistral-7b-4bit@mlx")
STATE = "test_another_picture_between_changes_nothing"


def test_marks_are_backend_source_and_tiers():
    """So that `-m "air_m4 and mlx"` means what it says."""
    assert {"mlx", "hub", "air_m4"} <= set(marks(SEVEN))
    assert "air_m4" not in marks(BIG)


@pytest.mark.parametrize(
    ("version", "applies"),
    [("0.0.9", False), ("0.0.10", True), ("0.3.9", True), ("0.4.0", True), ("0.4.1", False)],
)
def test_the_llava_bug_applies_in_its_exact_range(version, applies):
    """REGRESSIONS: bad from 0.0.10 to 0.4.0, fixed in 0.4.1."""
    bugs = known_bugs(REGISTRY.bugs, LLAVA, STATE, {"mlx-vlm": version}, "studio")
    assert (bugs != ()) is applies


def test_a_bug_is_for_its_deployments_and_tests_only():
    """Another model, another test or no such package: no excuse."""
    versions = {"mlx-vlm": "0.3.9"}
    assert known_bugs(REGISTRY.bugs, SEVEN, STATE, versions, "") == ()
    assert known_bugs(REGISTRY.bugs, LLAVA, "test_loads", versions, "") == ()
    assert known_bugs(REGISTRY.bugs, LLAVA, STATE, {}, "") == ()


def test_a_bug_may_be_for_some_tiers_only():
    """Where tiers are named, another tier has no excuse."""
    bugs = [replace(bug, tiers=("studio",)) for bug in REGISTRY.bugs]
    three = REGISTRY.deployment("qwen2.5-vl-3b-4bit@mlx")
    versions = {"mlx-vlm": "0.3.9"}
    assert known_bugs(bugs, three, "test_speed_repeats", versions, "studio") != ()
    assert known_bugs(bugs, three, "test_speed_repeats", versions, "air_m3") == ()


def test_a_bug_of_a_model_holds_with_random_weights_too():
    """bugs.toml names the real deployment; its synthetic one runs the same code."""
    random = REGISTRY.with_weights("synthetic").deployment("qwen2.5-vl-3b-4bit-synthetic@mlx")
    assert random.declared_as == "qwen2.5-vl-3b-4bit@mlx"
    versions = {"mlx-vlm": "0.3.9"}
    assert known_bugs(REGISTRY.bugs, random, "test_load_within_limit", versions, "") != ()


@pytest.mark.parametrize(
    ("version", "inside"), [("", False), ("not-a-version", False), ("2", True)]
)
def test_a_version_that_cannot_be_read_is_in_no_range(version, inside):
    """An absent library has no bugs."""
    assert in_range(version, ">=1") is inside


def test_what_cannot_fit_is_said_with_its_sum():
    """72B at 4 bit is over 40 GB: not on 32 GB; the 7B is not refused."""
    machine = session(memory_bytes=34_359_738_368).machine
    tier = REGISTRY.tier("air_m4")
    sentence = does_not_fit(BIG, machine, tier)
    assert "GB" in sentence
    assert "34.4 GB" in sentence
    assert does_not_fit(SEVEN, machine, tier) == ""
