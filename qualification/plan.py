"""Registry × machine × environment -> what is to be qualified here. Pure: nothing is probed."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from qualification import layouts
from qualification.budgets import critical_bytes, left_bytes, model_limit_bytes
from qualification.errors import DeclarationError
from qualification.footprint import PICTURE, Footprint, footprint, gb, together
from qualification.headers import TensorInfo
from qualification.records import Deployment, KnownBug, Machine, Tier
from qualification.registry import Registry


def marks(deployment: Deployment) -> tuple[str, ...]:
    """Marker names of a deployment: its backend, its weights' source and its tiers."""
    source = deployment.source
    return (source.backend, source.weights, *source.tiers)


def answers_at_random(deployment: Deployment) -> bool:
    """Whether its weights are random, so that what it says means nothing.

    The scripted fake has no weights at all and answers as its options say.
    """
    source = deployment.source
    return source.weights == "synthetic" and source.backend != "fake"


def known_bugs(
    bugs: Iterable[KnownBug],
    deployment: Deployment,
    test: str,
    versions: Mapping[str, str],
    tier: str,
) -> tuple[KnownBug, ...]:
    """The known bugs that make ``test`` fail here, or may: those in range of these versions.

    ``test`` is a function's name, with its parameters in brackets if it has some: ``test_format``
    in bugs.toml means all of ``test_format[webp]`` and its siblings, or one of them by its full
    name. What a library does wrong it does with random weights too.
    """
    return tuple(
        bug
        for bug in bugs
        if (must_fail(bug, test) or _names(bug.may_fail, test))
        and _any_match(deployment.declared_as, bug.deployments)
        and (not bug.tiers or tier in bug.tiers)
        and in_range(versions.get(bug.package, ""), bug.versions)
    )


def must_fail(bug: KnownBug, test: str) -> bool:
    """Whether the success of ``test`` would show that the bug is gone."""
    return _names(bug.tests, test)


def in_range(version: str, specifier: str) -> bool:
    """Whether an installed version ('' where absent) is within a PEP 440 specifier."""
    try:
        return SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


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


def _names(patterns: tuple[str, ...], test: str) -> bool:
    return test in patterns or _any_match(test.partition("[")[0], patterns)


def _any_match(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
