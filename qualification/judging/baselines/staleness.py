"""Which baselines there are, and which of them are stale and why.

A stale baseline is listed and never removed by itself. Reading a folder is the only input;
everything else is pure. Source: docs/baselines.md ("Stale").
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
from qualification.judging.library_versions import engine_of, principal_libraries
from qualification.machine.tiers import is_derived_name

Kind = Literal["deployment", "tier", "age", "versions", "metric", "unreadable"]

PUBLISHED = "published"
"""The folder of published figures, which lies among the tiers' and is none of them."""


@dataclass(frozen=True)
class StoredBaseline:
    """One file of the folder. ``baseline`` is None where it cannot be read: ``problem`` says why.

    ``forgotten`` are metrics that this release does not know, where nothing else is wrong.
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


def read_all(folder: Path) -> tuple[StoredBaseline, ...]:
    """Every baseline file of a folder, those that cannot be read too, by tier and deployment.

    A folder that does not exist holds none. A JSON file in no tier's folder counts as unreadable:
    nothing would ever be compared with it.
    """
    files = sorted({*folder.glob("*.json"), *folder.glob("*/*.json")})
    return tuple(_read(file) for file in files if file.parent != folder / PUBLISHED)


def _read(path: Path) -> StoredBaseline:
    try:
        return StoredBaseline(path, read_baseline(path))
    except BaselineError as error:
        problem = str(error)
    try:
        return StoredBaseline(path, None, problem, forgotten_metrics(path))
    except BaselineError:
        return StoredBaseline(path, None, problem)


def stale(
    stored: StoredBaseline,
    *,
    engines: Mapping[str, str],
    tiers: Collection[str],
    versions: Mapping[str, str],
    now: datetime.datetime,
    days: int,
) -> tuple[Reason, ...]:
    """Why a file no longer serves; empty where it does.

    ``engines`` maps each declared deployment to its ``Source.engine``, ``tiers`` are those
    declared; a derived one is always there. ``versions`` are those of the libraries in use; a
    library without one is not compared. ``now`` has a time zone.
    """
    baseline = stored.baseline
    if baseline is None:
        if stored.forgotten:
            names = ", ".join(stored.forgotten)
            return (Reason("metric", f"has a metric that is no longer known: {names}"),)
        return (Reason("unreadable", "cannot be read"),)
    reasons = []
    if baseline.deployment not in engines:
        reasons.append(Reason("deployment", "its deployment is no longer declared"))
    if baseline.tier not in tiers and not is_derived_name(baseline.tier):
        reasons.append(Reason("tier", "its tier is no longer declared"))
    if not baseline.sessions:
        return (*reasons, Reason("age", "it has no session"))
    if clause := _too_old(newest(baseline.sessions), now, days):
        reasons.append(Reason("age", clause))
    engine = engines.get(baseline.deployment) or engine_of(baseline.deployment)
    if clause := _other_versions(baseline.sessions, engine, versions):
        reasons.append(Reason("versions", clause))
    return tuple(reasons)


def _too_old(session: AcceptedSession, now: datetime.datetime, days: int) -> str:
    """A clause where the newest session is too old, or its age cannot be known; else ''."""
    started = when(session.started)
    if started is None:
        return "its newest session has no time of its start"
    age = (now - started).days
    if age < -1:
        return "its newest session started in the future, so a clock is wrong"
    return f"its newest session is {age} days old, over {days}" if age > days else ""


def _other_versions(
    sessions: Sequence[AcceptedSession], engine: str, versions: Mapping[str, str]
) -> str:
    """A clause where no session has all of the engine's principal libraries in use; else ''."""
    in_use = {name: versions[name] for name in principal_libraries(engine) if versions.get(name)}
    for session in sessions:
        recorded = session.environment.versions
        if all(recorded.get(name) == version for name, version in in_use.items()):
            return ""
    recorded = newest(sessions).environment.versions
    clauses = [
        f"{name} {version} (newest: {recorded.get(name) or 'none'})"
        for name, version in in_use.items()
        if recorded.get(name) != version
    ]
    return f"none of its sessions has {' and '.join(clauses)}"


def newest(sessions: Sequence[AcceptedSession]) -> AcceptedSession:
    """The session that was accepted last, whatever the clocks of the machines said."""
    return sessions[-1]


def when(text: str) -> datetime.datetime | None:
    """An ISO 8601 date or time, in UTC unless it has another zone; None for any other text."""
    try:
        time = datetime.datetime.fromisoformat(text.strip().removesuffix("Z"))
        if time.tzinfo is None:
            return time.replace(tzinfo=datetime.UTC)
        return time.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
