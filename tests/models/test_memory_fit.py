"""Which deployment fits which machine, from data alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.declarations import marker_names
from qualification.models.loading import load_registry
from qualification.models.memory_fit import allowance, does_not_fit, predict, tier_allowances
from tests.support.session_sample import session

REGISTRY = load_registry()
SEVEN = REGISTRY.deployment("qwen2.5-vl-7b-4bit@mlx")
BIG = REGISTRY.deployment("qwen2.5-vl-72b-4bit@mlx")


def test_marks_are_backend_source_and_tiers():
    """So that `-m "air_m4 and mlx"` means what it says."""
    assert {"mlx", "hub", "air_m4"} <= set(marker_names(SEVEN))
    assert "air_m4" not in marker_names(BIG)


def test_a_deployment_that_cannot_fit_is_refused_with_its_sum():
    """72B at 4 bit is over 40 GB: not on 32 GB; the 7B is not refused."""
    machine = session(memory_bytes=34_359_738_368).machine
    tier = REGISTRY.tier("air_m4")
    sentence = does_not_fit(predict(BIG, REGISTRY), machine, tier)
    assert "34.4 GB" in sentence
    for part in ("weights", "key/value cache", "activations", "process", "too much"):
        assert part in sentence
    assert does_not_fit(predict(SEVEN, REGISTRY), machine, tier) == ""


def test_a_machine_of_unknown_memory_refuses_nothing():
    """Without a memory there is no limit."""
    machine = session(memory_bytes=0).machine
    assert does_not_fit(predict(BIG, REGISTRY), machine, None) == ""


def test_the_share_of_system_and_server_is_not_for_models():
    """Applications can be closed; the system cannot."""
    air = allowance("an Air", REGISTRY.tier("air_m4"), 32e9)
    assert air.limit_bytes == 22e9
    assert air.budget_bytes == 6e9
    assert air.answer(5e9) == "fits"
    assert air.answer(6.5e9) == "tight"
    assert air.answer(22.1e9) == "does not fit"
    assert air.headroom_bytes(22.1e9) == pytest.approx(-0.1e9)


@given(st.floats(0, 1e12), st.sampled_from(REGISTRY.tiers), st.floats(0, 1e12))
def test_what_fits_never_exceeds_the_machine(need, tier, memory):
    """The limit is under the memory, and what fits is under the limit."""
    machine = allowance("any", tier, memory)
    assert 0 <= machine.budget_bytes <= memory
    assert 0 <= machine.limit_bytes <= memory
    if machine.answer(need) != "does not fit":
        assert need <= memory


def test_every_deployment_fits_the_largest_machine_of_its_tiers():
    """A source that names a tier fits there; a tier of any size has no machine to check."""
    for deployment in REGISTRY.deployments():
        need = predict(deployment, REGISTRY).total_bytes
        for name in deployment.source.tiers:
            for largest in tier_allowances(REGISTRY.tier(name))[-1:]:
                assert largest.answer(need) != "does not fit", (deployment.identifier, name)


def test_two_at_once_are_summed_as_the_recommendations_do():
    """7B twice takes 12 GB there, 7B and 32B 34 GB: at least their weights, 11.3 and 25.5."""
    twice, both = (
        sum(
            predict(REGISTRY.deployment(name), REGISTRY).total_bytes
            for name in combination.deployments
        )
        for combination in REGISTRY.together
    )
    assert twice == pytest.approx(12e9, rel=0.2)
    assert both == pytest.approx(34e9, rel=0.2)
    studio = tier_allowances(REGISTRY.tier("studio"))[-1]
    air = tier_allowances(REGISTRY.tier("air_m4"))[-1]
    seven = predict(SEVEN, REGISTRY)
    thirty_two = predict(REGISTRY.deployment("qwen2.5-vl-32b-4bit@mlx"), REGISTRY)
    assert "of headroom" in studio.sentence([seven, thirty_two])
    assert "too much" in air.sentence([seven, thirty_two])
