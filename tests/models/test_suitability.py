"""Which models are meant for a machine: by memory and bandwidth; a declaration only restricts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qualification.core.results import MemoryLimit, metal_default
from qualification.machine.tiers import tier_of
from qualification.models.loading import load_registry
from qualification.models.memory_fit import allowance, machine_allowance, predict
from qualification.models.suitability import suitability
from tests.support.recorded_macs import MACS, mac

REGISTRY = load_registry()
REAL = [deployment for deployment in REGISTRY.deployments() if deployment.source.weights == "hub"]
BY_NAME = {str(row): mac(row) for row in MACS}


def meant(machine):
    """Name -> why, of the real models that are meant for a machine."""
    tier = tier_of(machine, REGISTRY.tiers)
    suited = [suitability(deployment, machine, tier, REGISTRY) for deployment in REAL]
    return {answer.deployment: answer.why for answer in suited if answer.meant}


@pytest.mark.parametrize("row", MACS, ids=str)
def test_what_is_offered_to_a_mac_fits_by_the_printed_sum(row) -> None:
    """Each with its sum and its headroom, under the least of all limits."""
    machine = mac(row)
    tier = tier_of(machine, REGISTRY.tiers)
    allowed = machine_allowance(machine, tier)
    assert allowed.limit_bytes <= metal_default(machine.memory_bytes).bytes
    for name, why in meant(machine).items():
        predicted = predict(REGISTRY.deployment(name), REGISTRY)
        assert predicted.total_bytes <= allowed.limit_bytes
        assert predicted.sentence in why
        assert "of headroom" in why


def test_a_larger_mac_is_offered_more() -> None:
    """8 GB take little, 128 GB all that is for Metal; nothing but CUDA is left out there."""
    counts = [
        len(meant(BY_NAME[f"MacBook Pro M{chip}"])) for chip in ("1 16", "2 Pro 32", "3 Max 128")
    ]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1]


def test_a_text_only_machine_is_offered_no_model_that_sees() -> None:
    """mini_m4, by its policy."""
    machine = next(machine for machine in BY_NAME.values() if machine.tier == "mini_m4")
    tier = tier_of(machine, REGISTRY.tiers)
    suited = suitability(REAL[0], machine, tier, REGISTRY)
    assert (suited.meant, suited.why) == (False, "mini_m4 is text-only by its policy")


def test_a_source_for_another_accelerator_is_not_meant_for_a_derived_tier() -> None:
    """Its declared tiers are all of NVIDIA machines."""
    machine = BY_NAME["MacBook Pro M3 Max 128"]
    tier = tier_of(machine, REGISTRY.tiers)
    for_cuda = next(deployment for deployment in REAL if set(deployment.source.tiers) == {"cuda"})
    suited = suitability(for_cuda, machine, tier, REGISTRY)
    assert (suited.meant, suited.why) == (False, "declared for cuda only")


def test_a_roofline_under_reading_speed_is_too_slow() -> None:
    """It fits, and nobody would wait for it."""
    machine = replace(BY_NAME["MacBook Pro M3 Max 128"], bandwidth=2e9)
    tier = tier_of(machine, REGISTRY.tiers)
    name = next(iter(meant(BY_NAME["MacBook Pro M3 Max 128"])))
    suited = suitability(REGISTRY.deployment(name), machine, tier, REGISTRY)
    assert not suited.meant
    assert suited.why.endswith("under 5.00 tok/s")


def test_metal_wires_less_than_the_budget_leaves() -> None:
    """39.8 GB were tight on 48 GB, and 111 of 128 were allowed; Metal wires 38.7 and 103."""
    for gib, most in ((48, 38.7e9), (128, 103.1e9)):
        allowed = allowance("a Mac", None, gib * 2**30, [metal_default(gib * 2**30)])
        assert allowed.limit_bytes == pytest.approx(most, rel=0.002)
        assert allowed.limited_by == "Metal's usual working set"


def test_the_least_of_all_limits_holds_and_is_named() -> None:
    """In the sentence on a model that does not fit."""
    machine = BY_NAME["MacBook Pro M3 Max 128"]
    limits = (MemoryLimit("iogpu.wired_limit_mb", 2 * 2**30, changed=True), *machine.limits)
    allowed = machine_allowance(replace(machine, limits=limits), None)
    assert (allowed.limit_bytes, allowed.limited_by) == (2.0 * 2**30, "iogpu.wired_limit_mb")
    predicted = predict(REAL[0], REGISTRY)
    assert "(iogpu.wired_limit_mb): " in allowed.sentence([predicted])
