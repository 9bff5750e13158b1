"""Which baselines are to be removed, and why."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from qualification.core.errors import SelectionError
from qualification.core.results import Environment
from qualification.judging.baselines.staleness import Kept, when
from qualification.judging.baselines.storage import (
    AcceptedSession,
    Baseline,
)


@dataclass(frozen=True)
class Expiry:
    """Sessions of one file that go. ``left`` 0: the file goes with them."""

    path: Path
    baseline: Baseline
    sessions: tuple[AcceptedSession, ...]

    @property
    def left(self) -> int:
        """How many sessions stay."""
        return len(self.baseline.sessions) - len(self.sessions)


@dataclass(frozen=True)
class Terms:
    """Which sessions expire: those that meet each kind of term that has any, one of its kind.

    ``environments`` are requirements such as ``mlx-vlm<0.6`` or ``python<3.11``.
    """

    environments: tuple[Requirement, ...] = ()
    sessions: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    before: datetime.datetime | None = None
    deployments: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


def terms(
    *,
    environments: Sequence[str] = (),
    sessions: Sequence[str] = (),
    machines: Sequence[str] = (),
    before: str = "",
    deployments: Sequence[str] = (),
    tiers: Sequence[str] = (),
) -> Terms:
    """Terms as a user writes them; SelectionError where one is wrong, or where none is a term.

    Deployments and tiers only narrow: by themselves they would let everything of theirs go.
    """
    if not (environments or sessions or machines or before):
        raise SelectionError(
            "what expires? name --environment, --session, --machine or --before; "
            "a baseline that is to go altogether is a file: git rm it"
        )
    limit = when(before) if before else None
    if before and limit is None:
        raise SelectionError(f"--before {before!r} is no date: write one such as 2026-01-31")
    return Terms(
        environments=tuple(_requirement(text) for text in environments),
        sessions=tuple(sessions),
        machines=tuple(machines),
        before=limit,
        deployments=tuple(deployments),
        tiers=tuple(tiers),
    )


def _requirement(text: str) -> Requirement:
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise SelectionError(
            f"--environment {text!r} is no requirement: write one such as 'mlx-vlm<0.6'"
        ) from error
    if not found.specifier or found.url or found.marker or found.extras:
        raise SelectionError(
            f"--environment {text!r}: write a package and versions only, such as 'mlx-vlm<0.6'"
        )
    return found


def expiring(kept: Sequence[Kept], wanted: Terms) -> tuple[Expiry, ...]:
    """What would go, a file each; files that cannot be read are left out."""
    found = []
    for one in kept:
        baseline = one.baseline
        if baseline is None:
            continue
        if wanted.deployments and baseline.deployment not in wanted.deployments:
            continue
        if wanted.tiers and baseline.tier not in wanted.tiers:
            continue
        sessions = tuple(session for session in baseline.sessions if _expires(session, wanted))
        if sessions:
            found.append(Expiry(one.path, baseline, sessions))
    return tuple(found)


def _expires(session: AcceptedSession, wanted: Terms) -> bool:
    if wanted.sessions and session.identifier not in wanted.sessions:
        return False
    if wanted.machines and session.machine.identifier not in wanted.machines:
        return False
    if wanted.before is not None:
        started = when(session.started)
        if started is None or started >= wanted.before:
            return False
    return not wanted.environments or any(
        _has(session.environment, requirement) for requirement in wanted.environments
    )


def _has(environment: Environment, requirement: Requirement) -> bool:
    """Whether a recorded version meets a requirement; one that was not recorded does not."""
    name = canonicalize_name(requirement.name)
    installed = {canonicalize_name(key): text for key, text in environment.versions.items()}
    installed.setdefault(canonicalize_name("python"), environment.python)
    try:
        version = Version(installed.get(name, ""))
    except InvalidVersion:
        return False
    return requirement.specifier.contains(version, prereleases=True)
