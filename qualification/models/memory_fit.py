"""Registry × machine × environment -> what is to be qualified here. Pure: nothing is probed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.declarations import Deployment, MemoryBudget, Tier
from qualification.core.errors import DeclarationError
from qualification.core.results import Machine
from qualification.models import layouts
from qualification.models.footprint import PICTURE, Footprint, footprint, gb, together
from qualification.models.registry import Registry
from qualification.models.tensor_headers import TensorInfo

Answer = Literal["fits", "tight", "does not fit"]


@dataclass(frozen=True)
class Room:
    """What one machine, or the machines of a tier with that much memory, has for models."""

    name: str
    memory_bytes: float
    limit_bytes: float
    left_bytes: float

    def answer(self, need: float) -> Answer:
        """``tight``: it fits, but only if applications give up some of their share."""
        if need > self.limit_bytes:
            return "does not fit"
        return "fits" if need <= self.left_bytes else "tight"

    def sentence(self, footprints: Sequence[Footprint]) -> str:
        """Say whether these deployments fit together, with the sum and what is left or missing."""
        need = together(footprints)
        if len(footprints) == 1:
            sums = footprints[0].sentence
        else:
            terms = " + ".join(f"{f.deployment} {gb(f.total_bytes)}" for f in footprints)
            sums = f"{gb(need)} = {terms}"
        limit = f"a model may take {gb(self.limit_bytes)} of {gb(self.memory_bytes)}"
        answer = self.answer(need)
        if answer == "does not fit":
            return f"predicted {sums}; {limit}: {gb(need - self.limit_bytes)} too much"
        room = f"{gb(self.limit_bytes - need)} to spare"
        if answer == "tight":
            room += f", but over the {gb(self.left_bytes)} that the applications' share leaves"
        return f"predicted {sums}; {limit}: {room}"


def room(name: str, tier: Tier | None, memory_bytes: float) -> Room:
    """The room on ``memory_bytes`` under a tier's budget, or the default one."""
    return Room(
        name, memory_bytes, model_limit_bytes(tier, memory_bytes), left_bytes(tier, memory_bytes)
    )


def rooms(tier: Tier) -> tuple[Room, ...]:
    """The smallest and the largest machine of a tier; none where any size belongs to it.

    A range has one GiB on either side of what is sold.
    """
    smallest, largest = tier.memory_min + 2**30, tier.memory_max - 2**30
    if tier.memory_min <= 0 or smallest > largest:
        return ()
    return tuple(
        room(f"{tier.name} {size / 2**30:.0f} GiB", tier, size)
        for size in dict.fromkeys((smallest, largest))
    )


def predict(
    deployment: Deployment,
    registry: Registry,
    tensors: Sequence[TensorInfo] = (),
    *,
    context: int | None = None,
    picture: tuple[int, int] = PICTURE,
) -> Footprint:
    """The footprint of a deployment with its backend's declared constants.

    Without ``tensors``, those of the layout that the model's committed config gives, if it has one.
    """
    backend = registry.backend(deployment.source.engine)
    if not tensors:
        with contextlib.suppress(DeclarationError):
            tensors = [one for file in layouts.contents(deployment).values() for one in file]
    return footprint(deployment, backend, tensors, context=context, picture=picture)


def does_not_fit(predicted: Footprint, machine: Machine, tier: Tier | None) -> str:
    """'' where the prediction leaves room on this machine or its memory is not known.

    Else one sentence with the sum.
    """
    if machine.memory_bytes <= 0:
        return ""
    here = room("this machine", tier, machine.memory_bytes)
    return (
        "" if here.answer(predicted.total_bytes) != "does not fit" else here.sentence([predicted])
    )


def critical_memory_bytes(machine: Machine, tier: Tier | None) -> float:
    """Bytes at which a worker is ended: the critical mark of the tier, or the default."""
    return critical_bytes(tier, machine.memory_bytes)


DEFAULT_BUDGET = MemoryBudget(0.0, 0.0, 0.0)
"""For a machine of no tier: the marks hold, and nothing is set aside."""


def critical_bytes(tier: Tier | None, total: float) -> float:
    """Bytes of ``total`` at the critical mark: a worker over it is ended."""
    return (tier.budget if tier else DEFAULT_BUDGET).critical_share * total


def model_limit_bytes(tier: Tier | None, total: float) -> float:
    """Bytes that a model may take at most of ``total``, every application closed.

    Under the critical mark, and not what system and server are given.
    """
    budget = tier.budget if tier else DEFAULT_BUDGET
    return max(0.0, min(critical_bytes(tier, total), total - budget.system - budget.server))


def left_bytes(tier: Tier | None, total: float) -> float:
    """Bytes of ``total`` that system, server and applications leave, up to the warning mark."""
    budget = tier.budget if tier else DEFAULT_BUDGET
    left = total - budget.system - budget.server - budget.applications
    return max(0.0, min(left, budget.warning_share * total))
