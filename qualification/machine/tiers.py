"""The tier of a machine: the declared one that it matches, else one derived from its facts. Pure.

A declared tier is a class of machines with a policy. Where none matches, chip, memory and
accelerator say enough for a name and a budget, so every machine has a tier.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from qualification.core.declarations import MemoryBudget, Tier
from qualification.core.format import installed_memory_text
from qualification.core.results import Machine
from qualification.machine.names import describe, plain_name

GB = 1e9
_TO_GIB = 2.0**30
_NAME_LENGTH = 31
"""With a letter before a name that begins with a digit, it fits into a database's column of 32."""

BUDGETS = (
    (12, MemoryBudget(4 * GB, 1 * GB, 1 * GB)),
    (28, MemoryBudget(6 * GB, 2 * GB, 4 * GB)),
    (40, MemoryBudget(8 * GB, 2 * GB, 16 * GB)),
    (56, MemoryBudget(8 * GB, 2 * GB, 24 * GB)),
    (160, MemoryBudget(10 * GB, 4 * GB, 24 * GB)),
    (float("inf"), MemoryBudget(10 * GB, 4 * GB, 80 * GB)),
)
"""GiB of memory -> the budget of a Mac with at most that much: those of the declared tiers by size
(tiers.toml says where they come from). The first row is ours: 8 GB Macs have no declared tier."""

LINUX_BUDGETS = {"none": MemoryBudget(1 * GB, 0.0, 0.0), "cuda": MemoryBudget(1 * GB, 1 * GB, 0.0)}
"""Accelerator -> the budget of a Linux machine, as declared for linux_cpu and cuda."""


def tier_of(machine: Machine, tiers: Sequence[Tier]) -> Tier | None:
    """The tier that the machine's record names: declared, or derived from the record again.

    None for a record without a tier, and for a declared one that is no longer there.
    """
    if not machine.tier:
        return None
    derived = derived_tier(machine)
    tiers = (*([derived] if derived else []), *tiers)
    return {tier.name: tier for tier in tiers}.get(machine.tier)


def tier_name(machine: Machine, tiers: Sequence[Tier]) -> str:
    """The name of the machine's tier; '' only where its memory is not known."""
    if matched := match_tier(machine, tiers):
        return matched
    derived = derived_tier(machine)
    return derived.name if derived else ""


def derived_tier(machine: Machine) -> Tier | None:
    """A tier for machines like this one; None where the memory is not known.

    The budget is that of the declared tiers of this size. The span of memory is the machine's, with
    one GiB on either side, as in the declarations.
    """
    if machine.memory_bytes <= 0:
        return None
    kinds = {device.kind for device in machine.accelerators}
    accelerator: Literal["cuda", "metal", "none"] = "none"
    if kinds:
        accelerator = "cuda" if "cuda" in kinds else "metal"
    gib = machine.memory_bytes / _TO_GIB
    if machine.system == "linux":
        words = ["linux", accelerator]
        budget = LINUX_BUDGETS["cuda" if accelerator == "cuda" else "none"]
    else:
        words = [machine.product or machine.system, _chip(machine)]
        budget = next(budget for limit, budget in BUDGETS if gib <= limit)
    name = re.sub(r"[^a-z0-9]+", "_", " ".join(words).casefold()).strip("_")
    size = f"_{gib:.0f}gb"
    name = name[: _NAME_LENGTH - len(size)].rstrip("_") + size
    return Tier(
        name=name if name[0].isalpha() else f"m{name}",
        title=describe(machine),
        system="linux" if machine.system == "linux" else "macos",
        memory_min=max(0.0, machine.memory_bytes - _TO_GIB),
        memory_max=machine.memory_bytes + _TO_GIB,
        budget=budget,
        accelerator=accelerator,
    )


def _chip(machine: Machine) -> str:
    """``m3 max``; ``intel`` for all of them, whose names have a dozen words."""
    name = plain_name(machine.chip)
    return "intel" if name.startswith("intel") else name


def match_tier(machine: Machine, tiers: Sequence[Tier]) -> str:
    """The name of the most specific tier that this machine belongs to; '' if there is none.

    Every limit that a tier declares must hold: system, accelerator, chip, product, memory. A tier
    with more declared limits is more specific, then one with a narrower span of memory, then the
    earlier one. The span of memory is compared without tolerance: a "32 GB" machine has 32 GiB, and
    Linux shows less than is installed, so declarations have to include a tolerance.
    """
    matching = [tier for tier in tiers if not _mismatches(machine, tier)]
    if not matching:
        return ""
    best = min(
        matching,
        key=lambda tier: (
            -(bool(tier.chips) + bool(tier.products)),
            tier.memory_max - tier.memory_min,
        ),
    )
    return best.name


def explain_tier(machine: Machine, tiers: Sequence[Tier]) -> str:
    """This machine, its tier, and for a derived one the nearest declared: to follow "this is"."""
    name = tier_name(machine, tiers)
    if not name:
        return f"{describe(machine)}, whose memory is not known, so it has no tier"
    text = f"{describe(machine)}, which belongs to {name}"
    if match_tier(machine, tiers) or not tiers:
        return text
    nearest = min(tiers, key=lambda tier: (_distance(machine, tier), tier.memory_min))
    reasons = " and ".join(reason for _, reason in _mismatches(machine, nearest))
    return f"{text} (derived; the nearest declared one, {nearest.name}, is {reasons})"


def is_derived_name(name: str) -> bool:
    """Whether a derived tier could have this name, on this machine or another one."""
    return re.fullmatch(r"[a-z]\w*_[0-9]+gb", name) is not None


def _distance(machine: Machine, tier: Tier) -> int:
    return sum(weight for weight, _ in _mismatches(machine, tier))


def _mismatches(machine: Machine, tier: Tier) -> list[tuple[int, str]]:
    """The tier's limits that this machine misses, each with a weight for "nearest"."""
    mismatches = []
    kinds = {device.kind for device in machine.accelerators}
    if machine.system != tier.system:
        mismatches.append((64, f"for {tier.system}"))
    if tier.accelerator == "none" and kinds:
        mismatches.append((32, "for machines without an accelerator"))
    elif tier.accelerator != "none" and tier.accelerator not in kinds:
        mismatches.append((32, f"for a {tier.accelerator} accelerator"))
    if tier.chips and plain_name(machine.chip) not in map(plain_name, tier.chips):
        mismatches.append((8, f"for the chip {' or '.join(tier.chips)}"))
    if tier.products and plain_name(machine.product) not in map(plain_name, tier.products):
        mismatches.append((4, f"for a {' or '.join(tier.products)}"))
    if not tier.memory_min <= machine.memory_bytes <= tier.memory_max:
        span = installed_memory_text(tier.memory_min)
        if tier.memory_max > tier.memory_min:
            span = f"{span} to {installed_memory_text(tier.memory_max)}"
        mismatches.append((2, f"for {span} of memory"))
    return mismatches
