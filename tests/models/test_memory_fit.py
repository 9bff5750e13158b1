"""What is to be qualified, and which known bug applies, from data alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.declarations import marks
from qualification.models.known_bugs import in_range, known_bugs
from qualification.models.loading import load_registry
from qualification.models.memory_fit import does_not_fit, predict, room, rooms
from tests.support.session_sample import session

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
    sentence = does_not_fit(predict(BIG, REGISTRY), machine, tier)
    assert "34.36 GB" in sentence
    for part in ("weights", "key/value cache", "activations", "process", "too much"):
        assert part in sentence
    assert does_not_fit(predict(SEVEN, REGISTRY), machine, tier) == ""


def test_a_machine_of_unknown_memory_refuses_nothing():
    """Nothing is held against nothing."""
    machine = session(memory_bytes=0).machine
    assert does_not_fit(predict(BIG, REGISTRY), machine, None) == ""


def test_what_system_and_server_take_is_not_a_models():
    """Applications can be closed; the system cannot."""
    place = room("an Air", REGISTRY.tier("air_m4"), 32e9)
    assert place.limit_bytes == 22e9
    assert place.left_bytes == 6e9
    assert place.answer(5e9) == "fits"
    assert place.answer(6.5e9) == "tight"
    assert place.answer(22.1e9) == "does not fit"


@given(st.floats(0, 1e12), st.sampled_from(REGISTRY.tiers), st.floats(0, 1e12))
def test_what_fits_never_exceeds_the_machine(need, tier, memory):
    """The limit is under the memory, and what fits is under the limit."""
    place = room("any", tier, memory)
    assert 0 <= place.left_bytes <= memory
    assert 0 <= place.limit_bytes <= memory
    if place.answer(need) != "does not fit":
        assert need <= memory


def test_every_declared_tier_has_room_for_its_deployments_on_its_largest_machine():
    """A source that names a tier fits there; a tier of any size has no machine to check."""
    for deployment in REGISTRY.deployments():
        need = predict(deployment, REGISTRY).total_bytes
        for name in deployment.source.tiers:
            for place in rooms(REGISTRY.tier(name))[-1:]:
                assert place.answer(need) != "does not fit", (deployment.identifier, name)


def test_two_at_once_are_summed_as_the_recommendations_do():
    """7B twice was said to take 12 GB, 7B and 32B 34 GB: at least their weights, 11.3 and 25.5."""
    twice, both = (
        sum(predict(REGISTRY.deployment(name), REGISTRY).total_bytes for name in one.deployments)
        for one in REGISTRY.together
    )
    assert twice == pytest.approx(12e9, rel=0.2)
    assert both == pytest.approx(34e9, rel=0.2)
    studio = rooms(REGISTRY.tier("studio"))[-1]
    air = rooms(REGISTRY.tier("air_m4"))[-1]
    seven = predict(SEVEN, REGISTRY)
    thirty_two = predict(REGISTRY.deployment("qwen2.5-vl-32b-4bit@mlx"), REGISTRY)
    assert "to spare" in studio.sentence([seven, thirty_two])
    assert "too much" in air.sentence([seven, thirty_two])
