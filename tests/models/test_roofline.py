"""One roofline: what is over it is rejected, and a projection never exceeds the target's."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import SelectionError
from qualification.models.loading import load_registry
from qualification.models.projection import project
from qualification.models.roofline import fills_the_bus, roofline
from tests.support.session_sample import session

REGISTRY = load_registry()
SEVEN = REGISTRY.deployment("qwen2.5-vl-7b-4bit@mlx")
THREE = REGISTRY.deployment("qwen2.5-vl-3b-4bit@mlx")
MAX = session(chip="Apple M4 Max", bandwidth=546e9, tier="max_m4").machine
AIR = session(chip="Apple M4", bandwidth=120e9, tier="air_m4").machine


def test_the_published_speed_is_impossible_on_an_air_and_not_on_a_max():
    """94 tok/s: over three times the bound of one machine, 69 % of that of the other."""
    assert "94.0 tok/s is over 30.2 tok/s" in roofline(SEVEN, AIR).rejects([20.0, 94.0])
    on_max = roofline(SEVEN, MAX)
    assert on_max.rejects([94.0]) == ""
    assert on_max.share([94.0]) == pytest.approx(0.69, abs=0.01)


@pytest.mark.parametrize(
    ("machine", "deployment", "why"),
    [
        (replace(AIR, bandwidth=None), SEVEN, "memory bandwidth of Apple M4 is not known"),
        (AIR, replace(SEVEN, source=replace(SEVEN.source, weights="canary")), "too small"),
        (AIR, replace(SEVEN, source=replace(SEVEN.source, speculative=True)), "speculatively"),
        (AIR, replace(SEVEN, model=replace(SEVEN.model, shape=None)), "shape is not declared"),
    ],
)
def test_where_no_roofline_holds_no_share_is_claimed(machine, deployment, why):
    """Nothing is rejected either."""
    roof = roofline(deployment, machine)
    assert why in roof.why
    assert roof.share([94.0]) is None
    assert roof.rejects([1e9]) == ""


def test_the_bytes_of_the_files_come_before_the_name_of_the_quantisation():
    """They need no shape; a canary and drafted tokens have no roofline all the same."""
    odd = replace(SEVEN, source=replace(SEVEN.source, quantisation="AutoRound"))
    assert roofline(odd, AIR).why == "the bytes per weight of AutoRound are not known"
    shapeless = replace(odd, model=replace(odd.model, shape=None))
    assert roofline(shapeless, AIR, 4 * 10**9).bound_tps == AIR.bandwidth / 4e9
    for changes in ({"weights": "canary"}, {"speculative": True}):
        without = replace(SEVEN, source=replace(SEVEN.source, **changes))
        assert roofline(without, AIR, 4 * 10**9).bound_tps == 0


@pytest.mark.parametrize(("decode_bytes", "reads"), [(87_000, "87.0 KB"), (41 * 10**9, "41.0 GB")])
def test_files_of_another_model_have_no_speed_of_the_declared_one(decode_bytes, reads):
    """A tiny model, or a larger one, under the name of a 7B: whatever it decodes is refused."""
    roof = roofline(SEVEN, AIR, decode_bytes)
    assert f"A token reads {reads} of its files, where qwen2.5-vl-7b at 4bit reads 3.98 GB" in (
        roof.rejects([20.0])
    )
    assert roof.possible([20.0]) == ()
    assert roof.rejects([]) == ""


def test_a_quantisation_that_is_labelled_wrongly_is_not_another_model():
    """Weights of 16 bits under the label 4bit: the files' own roofline holds."""
    bf16 = 2 * 7_600_000_000
    assert roofline(SEVEN, AIR, bf16).rejects([7.0]) == ""


def test_a_projection_is_the_same_for_any_bytes_that_both_machines_read():
    """The share is of a bound that both have."""
    target = REGISTRY.tier("air_m4")
    a, b = (project(SEVEN, [60.0], MAX, target, REGISTRY, read) for read in (0, 5 * 10**9))
    assert a.high_tps == pytest.approx(b.high_tps)
    assert a.high_bound_tps > b.high_bound_tps


def test_a_mixture_of_experts_is_declared_by_what_one_token_reads():
    """Parameters count for memory, the width of the experts that are used for speed."""
    shape = replace(SEVEN.model.shape, intermediate_size=1024)
    experts = replace(SEVEN, model=replace(SEVEN.model, parameters=10**11, shape=shape))
    assert roofline(experts, AIR).bound_tps > roofline(SEVEN, AIR).bound_tps


def test_a_low_share_points_to_the_software_only_where_the_bus_is_full():
    """3B or more, on one die."""
    small = REGISTRY.deployment("smolvlm2-500m-video-bf16@mlx")
    assert fills_the_bus(THREE, MAX)
    assert not fills_the_bus(small, MAX)
    assert not fills_the_bus(THREE, replace(MAX, chip="Apple M3 Ultra"))


@given(
    st.floats(0.01, 1.0),
    st.sampled_from([tier for tier in REGISTRY.tiers if tier.chips]),
    st.sampled_from([68e9, 120e9, 546e9, 819e9]),
)
def test_a_projection_never_exceeds_the_bound_of_its_target(share, tier, bandwidth):
    """Whatever was measured below its own bound."""
    machine = replace(MAX, bandwidth=bandwidth)
    speed = share * roofline(SEVEN, machine).bound_tps
    projection = project(SEVEN, [speed], machine, tier, REGISTRY)
    assert projection.low_tps <= projection.low_bound_tps * (1 + 1e-9)
    assert projection.high_tps <= projection.high_bound_tps * (1 + 1e-9)
    assert projection.share == pytest.approx(share)


def test_a_projection_names_the_measured_machine_and_says_what_it_is():
    """The recommendations gave 94 tok/s; the same share of an Air's bound is 21."""
    projection = project(SEVEN, [94.58, 95.37, 96.26], MAX, REGISTRY.tier("air_m4"), REGISTRY)
    assert projection.sentence.startswith("Projection, not measured: ")
    assert "at 21.0 tok/s" in projection.sentence
    assert "Apple M4 Max (95.4 tok/s measured)" in projection.sentence


@pytest.mark.parametrize(
    ("speeds", "machine", "tier", "why"),
    [
        ([], MAX, "air_m4", "was not measured"),
        ([94.0], AIR, "studio", "so the record is rejected"),
        ([9.0], replace(AIR, bandwidth=None), "studio", "bandwidth of Apple M4 is not known"),
        ([9.0], AIR, "linux_cpu", "no memory bandwidth is declared for that tier"),
    ],
)
def test_what_cannot_be_projected_is_one_sentence(speeds, machine, tier, why):
    """Nothing measured, an impossible record, an unknown bound of either machine."""
    with pytest.raises(SelectionError, match=why):
        project(SEVEN, speeds, machine, REGISTRY.tier(tier), REGISTRY)
