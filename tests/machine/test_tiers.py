"""Every machine has a tier: declared, or derived from chip, memory and accelerator."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from qualification.core.results import Accelerator
from qualification.machine.probe import probe
from qualification.machine.tiers import derived_tier, is_derived_name, tier_of
from qualification.models.loading import load_registry
from tests.support.recorded_host import RecordedHost
from tests.support.recorded_macs import MACS, mac

REGISTRY = load_registry()
GIB = 2**30
SPARK = """processor : 0
CPU implementer : 0x41
"""
STRIX_HALO = "model name : AMD RYZEN AI MAX+ 395 w/ Radeon 8060S\n"


def linux(**files: str) -> RecordedHost:
    """A Linux machine of 128 GiB without a GPU, with other files under /proc."""
    host = RecordedHost("linux_2_cores_24gb")
    host.files["/proc/meminfo"] = f"MemTotal: {128 * 2**20} kB\n"
    host.files.update({f"/proc/{name}": text for name, text in files.items()})
    return host


@pytest.mark.parametrize("row", MACS, ids=str)
def test_every_mac_that_people_own_has_a_tier(row) -> None:
    """The declared one where there is one; else a name that says product, chip and memory."""
    machine = mac(row)
    tier = tier_of(machine, REGISTRY.tiers)
    assert tier is not None
    assert tier.name == machine.tier
    assert re.fullmatch(r"[a-z]\w{,31}", tier.name)
    if row.declared:
        assert tier.name == row.declared
    else:
        assert is_derived_name(tier.name)
        assert tier.name.endswith(f"_{row.gib}gb")
        assert tier.memory_min < machine.memory_bytes < tier.memory_max
    budget = tier.budget
    assert budget.system + budget.server + budget.applications < machine.memory_bytes


def test_no_two_sizes_or_chips_share_a_derived_tier() -> None:
    """A baseline of one is none of another."""
    names = [mac(row).tier for row in MACS if not row.declared]
    assert len(set(names)) == len(names)


# m5 is a whole generation under the budget of its smallest.
@pytest.mark.parametrize(
    "tier", [tier for tier in REGISTRY.tiers if tier.name != "m5"], ids=lambda tier: tier.name
)
def test_budgets_are_those_of_the_declared_tiers(tier) -> None:
    """By one rule of the size, so a derived tier is as strict as a declared one."""
    sizes = {tier.memory_min + GIB, max(tier.memory_min, tier.memory_max - GIB)}
    for size in sizes if tier.system == "macos" else {64.0 * GIB}:
        kinds = () if tier.accelerator == "none" else (Accelerator(tier.accelerator, "a GPU"),)
        machine = probe((), (), RecordedHost("air_m4_32gb"))
        machine = replace(machine, system=tier.system, memory_bytes=int(size), accelerators=kinds)
        derived = derived_tier(machine)
        assert derived is not None
        assert replace(derived.budget, warning_share=0.75) == tier.budget


def test_a_box_of_unified_memory_with_an_nvidia_gpu_has_a_gpu() -> None:
    """DGX Spark: its driver reports no memory of the GPU's own, by NVML or by nvidia-smi."""
    host = linux(cpuinfo=SPARK)
    query = "nvidia-smi --query-gpu=name,memory.total,memory.free,utilization.gpu,"
    text = "NVIDIA GB10, [N/A], [N/A], 0, 0x0000000000000001\n"
    host.commands[f"{query}clocks_event_reasons.active --format=csv,noheader,nounits"] = text
    machine = probe(REGISTRY.chips, REGISTRY.tiers, host)
    assert machine.accelerators == (Accelerator("cuda", "NVIDIA GB10"),)
    assert (machine.tier, machine.limits) == ("cuda", ())

    def unsupported(_handle: object) -> object:
        raise RuntimeError("Not Supported")

    host = linux(cpuinfo=SPARK)
    host.library = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda _handle: "NVIDIA GB10",
        nvmlDeviceGetMemoryInfo=unsupported,
    )
    assert probe(REGISTRY.chips, REGISTRY.tiers, host).accelerators == machine.accelerators


def test_a_box_of_unified_memory_without_nvidia_is_a_machine_without_an_accelerator() -> None:
    """Strix Halo: no backend here uses its GPU."""
    machine = probe(REGISTRY.chips, REGISTRY.tiers, linux(cpuinfo=STRIX_HALO))
    assert (machine.tier, machine.accelerators) == ("linux_cpu", ())


def test_a_linux_machine_that_no_declared_tier_takes_has_one_too() -> None:
    """A user's own declarations may leave it out."""
    assert probe((), (), linux(cpuinfo=STRIX_HALO)).tier == "linux_none_128gb"
    assert probe((), (), RecordedHost("linux_cuda_busy")).tier == "linux_cuda_128gb"


def test_an_intel_mac_and_a_virtual_one_have_short_names() -> None:
    """As long as a database's column."""
    machine = probe((), (), RecordedHost("air_m4_32gb"))
    intel = replace(machine, chip="Intel(R) Core(TM) i9-9980HK CPU @ 2.40GHz", accelerators=())
    for odd in (intel, replace(machine, product="x" * 80), replace(machine, product="42")):
        tier = derived_tier(odd)
        assert tier is not None
        assert is_derived_name(tier.name)
        assert len(tier.name) <= 32
    assert derived_tier(intel).name == "macbook_air_intel_32gb"


def test_a_record_without_a_tier_has_none() -> None:
    """An old session of a machine that matched none, and memory that is not known."""
    machine = mac(MACS[0])
    assert tier_of(replace(machine, tier=""), REGISTRY.tiers) is None
    assert tier_of(replace(machine, tier="gone"), REGISTRY.tiers) is None
    assert derived_tier(replace(machine, memory_bytes=0)) is None
