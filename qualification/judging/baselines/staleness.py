"""What becomes of baselines: which there are, which are stale and why, and which sessions expire.

A baseline never goes by itself: a stale one is listed, an expired session is removed by a person
who says so. Reading a folder is the only input; everything else is pure.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qualification.core.errors import BaselineError
from qualification.judging.baselines.storage import (
    AcceptedSession,
    Baseline,
    forgotten_metrics,
    read_baseline,
)
from qualification.judging.library_versions import PRINCIPAL, backend_of

Kind = Literal["deployment", "tier", "age", "versions", "metric", "unreadable"]

PUBLISHED = "published"
"""The folder of other people's figures, which lies among the tiers' and is not one of them."""


@dataclass(frozen=True)
class Kept:
    """One file of the folder. ``baseline`` is None where it cannot be read: ``problem`` says why.

    ``forgotten`` are metrics that this release does not know, where only they are in the way.
    """

    path: Path
    baseline: Baseline | None
    problem: str = ""
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why a baseline is stale, as one clause."""

    kind: Kind
    clause: str


def read_all(folder: Path) -> tuple[Kept, ...]:
    """Every baseline file of a folder, those that cannot be read too, by tier and deployment.

    A folder that does not exist holds none. A JSON file in no tier's folder counts as unreadable:
    nothing would ever be held against it.
    """
    files = sorted({*folder.glob("*.json"), *folder.glob("*/*.json")})
    return tuple(_kept(file) for file in files if file.parent != folder / PUBLISHED)


def _kept(path: Path) -> Kept:
    try:
        return Kept(path, read_baseline(path))
    except BaselineError as error:
        problem = str(error)
    try:
        return Kept(path, None, problem, forgotten_metrics(path))
    except BaselineError:
        return Kept(path, None, problem)


# --------------------------------------------------------------------------- stale


def stale(
    kept: Kept,
    *,
    deployments: Collection[str],
    tiers: Collection[str],
    versions: Mapping[str, str],
    now: datetime.datetime,
    days: int,
) -> tuple[Reason, ...]:
    """Why a file no longer serves; empty where it does.

    ``deployments`` and ``tiers`` are those declared, ``versions`` the libraries in use: one that
    has none there, or '', is not compared. ``now`` has a time zone.
    """
    baseline = kept.baseline
    if baseline is None:
        if kept.forgotten:
            names = ", ".join(kept.forgotten)
            return (Reason("metric", f"has a metric that is no longer known: {names}"),)
        return (Reason("unreadable", "cannot be read"),)
    reasons = []
    if baseline.deployment not in deployments:
        reasons.append(Reason("deployment", "its deployment is no longer declared"))
    if baseline.tier not in tiers:
        reasons.append(Reason("tier", "its tier is no longer declared"))
    if not baseline.sessions:
        return (*reasons, Reason("age", "it has no session"))
    age = _age_days(baseline.sessions, now)
    if age is None:
        reasons.append(Reason("age", "none of its sessions says when it started"))
    elif age > days:
        reasons.append(Reason("age", f"its newest session is {age} days old, over {days}"))
    if clause := _other_versions(baseline, versions):
        reasons.append(Reason("versions", clause))
    return tuple(reasons)


def _age_days(sessions: Sequence[AcceptedSession], now: datetime.datetime) -> int | None:
    times = [time for session in sessions if (time := when(session.started)) is not None]
    return (now - max(times)).days if times else None


def _other_versions(baseline: Baseline, versions: Mapping[str, str]) -> str:
    names = [
        name for name in PRINCIPAL.get(backend_of(baseline.deployment), ()) if versions.get(name)
    ]
    in_use = {name: versions[name] for name in names}
    for session in baseline.sessions:
        if all(session.environment.versions.get(name) == in_use[name] for name in names):
            return ""
    last = newest(baseline.sessions).environment.versions
    words = [
        f"{name} {in_use[name]} (newest: {last.get(name) or 'none'})"
        for name in names
        if last.get(name) != in_use[name]
    ]
    return f"none of its sessions has {' and '.join(words)}"


def newest(sessions: Sequence[AcceptedSession]) -> AcceptedSession:
    """The session that started last; one that says no time is older than any that does."""
    earliest = datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
    return max(sessions, key=lambda session: when(session.started) or earliest)


def when(text: str) -> datetime.datetime | None:
    """An ISO 8601 date or time, in UTC unless it says another zone; None where it is none."""
    try:
        found = datetime.datetime.fromisoformat(text.strip().removesuffix("Z"))
        if found.tzinfo is None:
            return found.replace(tzinfo=datetime.timezone.utc)
        return found.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        return None


# --------------------------------------------------------------------------- expire
