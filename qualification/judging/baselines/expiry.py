"""Which accepted sessions expire, by the terms that a person states. Pure."""

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
from qualification.judging.baselines.staleness import StoredBaseline, when
from qualification.judging.baselines.storage import AcceptedSession, Baseline


@dataclass(frozen=True)
class Expiry:
    """Sessions of one file that expire. ``remaining`` 0: the file is removed with them."""

    path: Path
    baseline: Baseline
    sessions: tuple[AcceptedSession, ...]

    @property
    def remaining(self) -> int:
        """The number of sessions that stay."""
        return len(self.baseline.sessions) - len(self.sessions)


@dataclass(frozen=True)
class ExpiryTerms:
    """Which sessions expire: those that match every kind of term that is given.

    Several terms of one kind are alternatives. ``environments`` are requirements such as
    ``mlx-vlm<0.6`` or ``python<3.11``.
    """

    environments: tuple[Requirement, ...] = ()
    sessions: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    before: datetime.datetime | None = None
    deployments: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()


def expiry_terms(
    *,
    environments: Sequence[str] = (),
    sessions: Sequence[str] = (),
    machines: Sequence[str] = (),
    before: str = "",
    deployments: Sequence[str] = (),
    tiers: Sequence[str] = (),
) -> ExpiryTerms:
    """Terms as a user writes them; SelectionError where one is wrong, or where there is none.

    Deployments and tiers only narrow the choice: alone, they would remove whole baselines.
    """
    if not (environments or sessions or machines or before):
        raise SelectionError(
            "what expires? name --environment, --session, --machine or --before; "
            "a whole baseline is a file: git rm it"
        )
    limit = when(before) if before else None
    if before and limit is None:
        raise SelectionError(f"--before {before!r} is no date: write one such as 2026-01-31")
    return ExpiryTerms(
        environments=tuple(_requirement(text) for text in environments),
        sessions=tuple(sessions),
        machines=tuple(machines),
        before=limit,
        deployments=tuple(deployments),
        tiers=tuple(tiers),
    )


def _requirement(text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise SelectionError(
            f"--environment {text!r} is no requirement: write one such as 'mlx-vlm<0.6'"
        ) from error
    if not requirement.specifier or requirement.url or requirement.marker or requirement.extras:
        raise SelectionError(
            f"--environment {text!r}: write a package and versions only, such as 'mlx-vlm<0.6'"
        )
    return requirement


def expiring(files: Sequence[StoredBaseline], terms: ExpiryTerms) -> tuple[Expiry, ...]:
    """The sessions that would be removed, by file; files that cannot be read are left out."""
    expiries = []
    for stored in files:
        baseline = stored.baseline
        if baseline is None:
            continue
        if terms.deployments and baseline.deployment not in terms.deployments:
            continue
        if terms.tiers and baseline.tier not in terms.tiers:
            continue
        sessions = tuple(session for session in baseline.sessions if _expires(session, terms))
        if sessions:
            expiries.append(Expiry(stored.path, baseline, sessions))
    return tuple(expiries)


def _expires(session: AcceptedSession, terms: ExpiryTerms) -> bool:
    if terms.sessions and session.identifier not in terms.sessions:
        return False
    if terms.machines and session.machine.identifier not in terms.machines:
        return False
    if terms.before is not None:
        started = when(session.started)
        if started is None or started >= terms.before:
            return False
    return not terms.environments or any(
        _has(session.environment, requirement) for requirement in terms.environments
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
