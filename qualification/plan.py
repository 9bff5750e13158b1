"""Registry × machine × environment -> what is to be qualified here. Pure: nothing is probed."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from qualification.budgets import DEFAULT_BUDGET
from qualification.footprint import predicted_weights_bytes
from qualification.records import Deployment, KnownBug, Machine, Tier


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


def does_not_fit(deployment: Deployment, machine: Machine, tier: Tier | None) -> str:
    """'' where the weights alone leave room, else one sentence with the sum.

    The weights are a lower bound of what a deployment takes, so this never refuses one that fits.
    """
    if machine.memory_bytes <= 0:
        return ""
    weights = predicted_weights_bytes(deployment.model, deployment.source)
    limit = critical_memory_bytes(machine, tier)
    if weights <= limit:
        return ""
    return (
        f"the weights alone take {weights / 1e9:.1f} GB and {limit / machine.memory_bytes:.0%} "
        f"of this machine's {machine.memory_bytes / 1e9:.1f} GB are {limit / 1e9:.1f} GB"
    )


def critical_memory_bytes(machine: Machine, tier: Tier | None) -> float:
    """Bytes that a deployment may take at most: the critical mark of the tier, or the default."""
    return (tier.budget if tier else DEFAULT_BUDGET).critical_share * machine.memory_bytes


def _names(patterns: tuple[str, ...], test: str) -> bool:
    return test in patterns or _any_match(test.partition("[")[0], patterns)


def _any_match(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
