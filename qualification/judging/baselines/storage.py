"""Baselines: the raw trials of accepted sessions, in ``<folder>/<tier>/<deployment>.json``.

A file is written only by :func:`accept` and :func:`remove_sessions`, which a person asks for and
reviews as a diff. It is read, changed and written with its lock held, whole or not at all, and
never over one that cannot be read. Its last field is a hash of all others, so that a damaged number
is never compared with.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ConfigDict, TypeAdapter, ValidationError

from qualification.core.errors import AlreadyAccepted, BaselineError
from qualification.core.files import change_file
from qualification.core.format import bytes_text
from qualification.core.metrics import METRICS
from qualification.core.protocol import to_json
from qualification.core.results import (
    SCHEMA_VERSION,
    Condition,
    Environment,
    Machine,
    Session,
    Trial,
)
from qualification.core.validation import first_problem


@dataclass(frozen=True)
class AcceptedSession:
    """One session of one deployment: machine, time, libraries, weights and every repetition.

    ``revision`` is that of the weights' files: a commit of the hub, or a hash of one's own files;
    '' where it is not known, as in files that were written before it was recorded.
    """

    identifier: str
    started: str
    machine: Machine
    environment: Environment
    trials: tuple[Trial, ...]
    conditions: tuple[Condition, ...] = ()
    revision: str = ""


@dataclass(frozen=True)
class Baseline:
    """The content of a file. Sessions are in the order in which they were accepted.

    A session is found by tier, deployment and the revision of its weights. ``content_sha256`` is
    '' in a file that was written before there was a hash.
    """

    # Nested dataclasses inherit it: an unknown key anywhere makes a file unreadable.
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    schema_version: int
    deployment: str
    tier: str
    sessions: tuple[AcceptedSession, ...]
    content_sha256: str = ""


_ADAPTER = TypeAdapter(Baseline)
_HASH = "content_sha256"
_LARGEST_BYTES = 50_000_000
"""A file of more is no baseline: a session has under a megabyte."""


def baseline_path(folder: Path, tier: str, deployment: str) -> Path:
    """The file of a deployment's baseline on a tier, whatever the identifier contains.

    Letters, digits and ``_.-~@+`` stay, anything else becomes %XX: no two identifiers share a
    file, and none leads out of the folder.
    """
    return folder / _file_name(tier) / f"{_file_name(deployment)}.json"


def read_baseline(path: Path) -> Baseline:
    """The baseline in a file; BaselineError, with file and key, if it is not valid."""
    baseline, content = _parsed(path)
    _check(baseline, path)
    if baseline.content_sha256 and baseline.content_sha256 != _hash(content):
        raise BaselineError(
            f"{path}: {_HASH}: is not that of its content, so the file was damaged, or edited by "
            f"hand: restore it from a copy, or remove the field {_HASH} if the edit is meant"
        )
    return baseline


def forgotten_metrics(path: Path) -> tuple[str, ...]:
    """Names of the metrics in a file that this release does not know; BaselineError as above."""
    sessions = _parsed(path)[0].sessions
    names = {trial.metric for session in sessions for trial in session.trials}
    return tuple(sorted(names - METRICS.keys()))


def _parsed(path: Path) -> tuple[Baseline, dict[str, Any]]:
    text, content = _json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise BaselineError(
            f"{path}: schema_version: this release reads version {SCHEMA_VERSION}, not {version!r}"
        )
    try:
        return _ADAPTER.validate_json(text, strict=True), content
    except ValidationError as error:
        raise BaselineError(f"{path}: {first_problem(error)}") from error


def _json(path: Path) -> tuple[bytes, Any]:
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise BaselineError(
                f"{path}: has {bytes_text(size)}, and no baseline has over "
                f"{bytes_text(_LARGEST_BYTES)}; restore it from a copy"
            )
        text = path.read_bytes()
        return text, json.loads(text.decode("utf-8"), object_pairs_hook=_without_duplicates)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise BaselineError(
            f"{path}: is not JSON of a baseline: it is nested too deeply"
        ) from error
    except ValueError as error:
        raise BaselineError(f"{path}: is not JSON: {error}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            raise ValueError(f"the key {key!r} is there twice in one object")
        keys[key] = value
    return keys


def _hash(content: dict[str, Any]) -> str:
    """SHA-256 of all fields but the hash, whatever their order and the file's white space."""
    fields = {key: value for key, value in content.items() if key != _HASH}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def accept(folder: Path, session: Session, trials: Sequence[Trial], revision: str = "") -> Path:
    """Append a session's trials of one deployment to its baseline; returns the file.

    ``revision`` is that of the deployment's weights, '' if it is not known.
    The tier is the one of the session's machine. Refused with a BaselineError: no trials, trials
    of two deployments, a machine of no tier, a number that is not finite, a session that is
    already there (AlreadyAccepted), and a file that cannot be read.
    """
    deployments = {trial.deployment for trial in trials}
    if len(deployments) != 1:
        named = ", ".join(sorted(deployments)) or "none"
        raise BaselineError(f"a baseline is of one deployment; these trials are of: {named}")
    deployment, tier = deployments.pop(), session.machine.tier
    if not tier:
        raise BaselineError(
            f"session {session.identifier} ran on a machine of no tier, so it has no baseline"
        )
    path = baseline_path(folder, tier, deployment)
    accepted = AcceptedSession(
        identifier=session.identifier,
        started=session.started,
        machine=session.machine,
        environment=session.environment,
        trials=tuple(trials),
        conditions=session.conditions,
        revision=revision,
    )

    def with_session() -> str:
        if path.exists():
            baseline = read_baseline(path)
        else:
            baseline = Baseline(SCHEMA_VERSION, deployment, tier, ())
        if any(earlier.identifier == session.identifier for earlier in baseline.sessions):
            raise AlreadyAccepted(f"{path}: has session {session.identifier} already")
        return _text(path, replace(baseline, sessions=(*baseline.sessions, accepted)))

    _change(path, with_session)
    return path


def remove_sessions(path: Path, identifiers: Collection[str]) -> int:
    """Remove sessions from a file; returns the number of those that remain.

    The file is read again, so that what was accepted meanwhile stays; with no session left it is
    removed. Refused with a BaselineError: a file that cannot be read, and a session that is not in
    it.
    """
    remaining: tuple[AcceptedSession, ...] = ()

    def without_sessions() -> str | None:
        nonlocal remaining
        baseline = read_baseline(path)
        missing = set(identifiers) - {session.identifier for session in baseline.sessions}
        if missing:
            raise BaselineError(f"{path}: has no session {', '.join(sorted(missing))}")
        remaining = tuple(
            session for session in baseline.sessions if session.identifier not in identifiers
        )
        return _text(path, replace(baseline, sessions=remaining)) if remaining else None

    _change(path, without_sessions)
    return len(remaining)


def _change(path: Path, changed: Callable[[], str | None]) -> None:
    try:
        change_file(path, changed)
    except (OSError, UnicodeEncodeError) as error:
        raise BaselineError(f"{path}: cannot be changed: {error}") from error


def _text(path: Path, baseline: Baseline) -> str:
    _check(baseline, path)
    content = to_json(baseline)
    content[_HASH] = _hash(content)
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _check(baseline: Baseline, path: Path) -> None:
    """Check what types cannot express: file name, one deployment, known units, finite numbers."""
    expected = baseline_path(path.parent.parent, baseline.tier, baseline.deployment)
    if expected.parent.name != path.parent.name:
        raise BaselineError(f"{path}: tier: {baseline.tier!r} belongs into {expected.parent.name}/")
    if expected.name != path.name:
        raise BaselineError(f"{path}: deployment: {baseline.deployment!r} is {expected.name}")
    identifiers = set()
    for number, session in enumerate(baseline.sessions):
        key = f"{path}: sessions[{number}]"
        if session.identifier in identifiers:
            raise BaselineError(f"{key}.identifier: {session.identifier} is there twice")
        identifiers.add(session.identifier)
        for place, trial in enumerate(session.trials):
            _check_trial(trial, baseline.deployment, f"{key}.trials[{place}]")


def _check_trial(trial: Trial, deployment: str, key: str) -> None:
    if trial.deployment != deployment:
        raise BaselineError(f"{key}.deployment: {trial.deployment!r} is not {deployment!r}")
    if trial.metric not in METRICS:
        raise BaselineError(f"{key}.metric: {trial.metric!r} is unknown: {', '.join(METRICS)}")
    unit = METRICS[trial.metric].unit
    if trial.unit != unit:
        raise BaselineError(f"{key}.unit: {trial.metric} is in {unit}, not {trial.unit!r}")
    if not math.isfinite(trial.value):
        raise BaselineError(f"{key}.value: {trial.metric} is not a finite number")


def _file_name(identifier: str) -> str:
    name = quote(identifier, safe="@+")
    return name.replace(".", "%2E") if set(name) <= {"."} else name
