"""Does a deployment fit a machine's memory? A predicted peak against what a tier's budget allows.

Pure: nothing is probed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.declarations import Deployment, MemoryBudget, Tier
from qualification.core.errors import DeclarationError
from qualification.core.format import bytes_text
from qualification.core.results import Machine, MemoryLimit, metal_default
from qualification.models import layouts
from qualification.models.footprint import DEFAULT_IMAGE_SIZE, Footprint, footprint, together
from qualification.models.registry import Registry
from qualification.models.tensor_headers import TensorInfo

Answer = Literal["fits", "tight", "does not fit"]

DEFAULT_BUDGET = MemoryBudget(0.0, 0.0, 0.0)
"""For a machine of no tier: the thresholds hold, and nothing is set aside."""


@dataclass(frozen=True)
class Allowance:
    """Memory that models may take on one machine, or on a tier's machines of one size.

    ``limit_bytes`` is the most, every application closed; up to ``budget_bytes`` applications keep
    their share. ``limited_by`` names the machine's own limit where that is the least.
    """

    name: str
    memory_bytes: float
    limit_bytes: float
    budget_bytes: float
    limited_by: str = ""

    def answer(self, need: float) -> Answer:
        """``tight``: it fits, but only if applications give up some of their share."""
        if need > self.limit_bytes:
            return "does not fit"
        return "fits" if need <= self.budget_bytes else "tight"

    def headroom_bytes(self, need: float) -> float:
        """Bytes that remain under the limit; negative where they are missing."""
        return self.limit_bytes - need

    def sentence(self, footprints: Sequence[Footprint]) -> str:
        """Say whether these deployments fit together, with the sum and the headroom."""
        need = together(footprints)
        if len(footprints) == 1:
            total = footprints[0].sentence
        else:
            terms = " + ".join(f"{f.deployment} {bytes_text(f.total_bytes)}" for f in footprints)
            total = f"{bytes_text(need)} = {terms}"
        text = f"predicted {total}; a model may take {bytes_text(self.limit_bytes)} of"
        because = f" ({self.limited_by})" if self.limited_by else ""
        text += f" {bytes_text(self.memory_bytes)}{because}: "
        headroom, answer = self.headroom_bytes(need), self.answer(need)
        if answer == "does not fit":
            return f"{text}{bytes_text(-headroom)} too much"
        text += f"{bytes_text(headroom)} of headroom"
        if answer == "tight":
            budget = bytes_text(self.budget_bytes)
            text += f", but over the {budget} that the applications' share leaves"
        return text


def allowance(
    name: str, tier: Tier | None, memory_bytes: float, limits: Sequence[MemoryLimit] = ()
) -> Allowance:
    """The allowance on a machine of ``memory_bytes`` under a tier's budget, or the default one.

    ``limits`` are the machine's own; the least of all is the limit.
    """
    budget = _budget(tier)
    available = memory_bytes - budget.system - budget.server
    limit = min(available, critical_bytes(tier, memory_bytes))
    least = min(limits, key=lambda rule: rule.bytes, default=None)
    limited_by = ""
    if least is not None and least.bytes < limit:
        limit, limited_by = float(least.bytes), least.name
    budgeted = min(available - budget.applications, budget.warning_share * memory_bytes, limit)
    return Allowance(name, memory_bytes, max(0.0, limit), max(0.0, budgeted), limited_by)


def machine_allowance(machine: Machine, tier: Tier | None) -> Allowance:
    """The allowance on this machine, under its tier's budget and its own limits."""
    return allowance("this machine", tier, machine.memory_bytes, machine.limits)


def tier_allowances(tier: Tier) -> tuple[Allowance, ...]:
    """Those of the smallest and the largest machine of a tier; none for a tier of any size.

    A declared range has one GiB on either side of the sizes that are sold.
    """
    smallest, largest = tier.memory_min + 2**30, tier.memory_max - 2**30
    if tier.memory_min <= 0 or smallest > largest:
        return ()
    return tuple(
        allowance(f"{tier.name} {size / 2**30:.0f} GiB", tier, size, _usual_limits(tier, size))
        for size in dict.fromkeys((smallest, largest))
    )


def _usual_limits(tier: Tier, memory_bytes: float) -> tuple[MemoryLimit, ...]:
    return (metal_default(memory_bytes),) if tier.accelerator == "metal" else ()


def predict(
    deployment: Deployment,
    registry: Registry,
    tensors: Sequence[TensorInfo] = (),
    *,
    context: int | None = None,
    image: tuple[int, int] = DEFAULT_IMAGE_SIZE,
) -> Footprint:
    """The footprint of a deployment with its backend's declared constants.

    Without ``tensors``, those of the layout that the model's committed config gives, if it has one.
    """
    backend = registry.backend(deployment.source.engine)
    if not tensors:
        with contextlib.suppress(DeclarationError):
            files = layouts.contents(deployment).values()
            tensors = [tensor for file in files for tensor in file]
    return footprint(deployment, backend, tensors, context=context, image=image)


def does_not_fit(predicted: Footprint, machine: Machine, tier: Tier | None) -> str:
    """One sentence with the sum where a prediction is over this machine's limit, else ''.

    '' too where the machine's memory is not known.
    """
    if machine.memory_bytes <= 0:
        return ""
    allowed = machine_allowance(machine, tier)
    fits = allowed.answer(predicted.total_bytes) != "does not fit"
    return "" if fits else allowed.sentence([predicted])


def critical_memory_bytes(machine: Machine, tier: Tier | None) -> float:
    """Bytes at which a worker is ended: the critical threshold of the tier, or the default."""
    return critical_bytes(tier, machine.memory_bytes)


def critical_bytes(tier: Tier | None, total: float) -> float:
    """Bytes of ``total`` at the critical threshold: a worker over it is ended."""
    return _budget(tier).critical_share * total


def _budget(tier: Tier | None) -> MemoryBudget:
    return tier.budget if tier else DEFAULT_BUDGET
