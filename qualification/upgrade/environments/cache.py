"""The cache of built environments: a venv for each resolved set of releases, whole or built again.

A request (pins, Python, platform, index) is resolved by pip once, and the answer is kept, so that
the same request gives the same releases on another day. A build lies in a folder named by a digest
of the resolved set, so requests that resolve alike share it. A venv cannot be moved, so it is built
in place, and ``complete.json`` is written last: a folder without it was left half built.

::

    environments/
      .pip-3.11.7/              a venv with the pip that resolves and installs
      .resolved-<request>.json  what a request resolved to
      .<key>.lock               held by the one who builds
      <key>/complete.json  bin/python …
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from qualification.core.errors import EnvironmentFailed
from qualification.core.file_lock import locked
from qualification.core.paths import cache as cache_folder
from qualification.upgrade.environments import pip as pip_calls
from qualification.upgrade.environments.pip import Interpreter
from qualification.upgrade.environments.spec import EnvironmentSpec, without_password

_SPEC = TypeAdapter(EnvironmentSpec)
_COMPLETE = "complete.json"
_FORMAT = 1
"""Of the files of this cache: raised, everything is resolved and built again."""


@dataclass(frozen=True)
class Built:
    """An environment that a worker can be started in.

    ``python`` is its interpreter, ``key`` the digest of its resolved set, ``versions`` the version
    of every distribution in it by canonical name, ``fresh`` whether it was built just now, and
    ``bytes`` what it takes on disk (0 for an interpreter that was there already).
    """

    spec: EnvironmentSpec
    python: Path
    key: str
    versions: dict[str, str]
    python_version: str
    fresh: bool = False
    bytes: int = 0


def _nothing(_: str) -> None:
    """Say nothing."""


def ready(
    spec: EnvironmentSpec, *, root: Path | None = None, say: Callable[[str], None] = _nothing
) -> Built:
    """Return the environment, built now if it is not there.

    ``root`` is the cache's folder (default: ``environments`` in the user's cache); ``say`` gets a
    sentence before what takes long. Raises EnvironmentFailed.
    """
    if spec.interpreter:
        found = pip_calls.probe(Path(spec.interpreter))
        key = _digest([found.versions, found.version, found.platform])
        return Built(spec, Path(spec.interpreter), key, found.versions, found.version)
    root = root or _root()
    base = pip_calls.base_interpreter(spec.python)
    try:
        root.mkdir(parents=True, exist_ok=True)
        resolved = _remembered(spec, base, root)
        if resolved is None:
            with locked(root / f".pip-{base.version}.lock", say) as lock:
                resolved = _remembered(spec, base, root)
                if resolved is None:
                    resolved = _resolve(spec, base, root, lock.descriptor, say)
        folder = root / _key(spec, resolved, base)
        with locked(root / f".{folder.name}.lock", say) as lock:
            if not folder.is_dir():
                return _build(spec, resolved, base, folder, lock.descriptor, say)
            there = _complete(folder, spec)
            wrong = "half built" if there is None else _changed(there)
            if there is not None and not wrong:
                return there
            say(f"{spec.name}: {folder} is {wrong}; it is removed and built again")
            _remove_folder(folder)
            return _build(spec, resolved, base, folder, lock.descriptor, say)
    except OSError as error:
        raise EnvironmentFailed(
            f"{spec.name}: {error.filename or root}: {error.strerror or error}; the cache of "
            "environments must be a folder that can be written, with room (QUALIFY_CACHE names it)"
        ) from error


def find(spec: EnvironmentSpec, *, root: Path | None = None) -> Built | None:
    """Return the environment if it is built already, without asking pip or the network."""
    root = root or _root()
    try:
        base = pip_calls.base_interpreter(spec.python)
    except EnvironmentFailed:
        return None
    resolved = _remembered(spec, base, root)
    return None if resolved is None else _complete(root / _key(spec, resolved, base), spec)


def built(root: Path | None = None) -> tuple[Built, ...]:
    """Return what is in the cache; ``spec`` is the one that it was first built for."""
    root = root or _root()
    found = (_complete(file.parent) for file in sorted(root.glob(f"*/{_COMPLETE}")))
    return tuple(one for one in found if one is not None)


def remove(one: Built, say: Callable[[str], None] = _nothing) -> None:
    """Remove a build from the cache, and what was resolved to it; a builder is waited for.

    Raises EnvironmentFailed where it is not of a cache.
    """
    folder = one.python.parent.parent
    if folder.name != one.key or not (folder / _COMPLETE).is_file():
        raise EnvironmentFailed(f"{one.python}: is not in the cache of environments, so it stays")
    with locked(folder.parent / f".{folder.name}.lock", say) as lock:
        for file in folder.parent.glob(".resolved-*.json"):
            with contextlib.suppress(OSError):
                if (_json(file) or {}).get("key") == one.key:
                    file.unlink()
        _remove_folder(folder)
        lock.path.unlink(missing_ok=True)


def _root() -> Path:
    return cache_folder() / "environments"


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _key(spec: EnvironmentSpec, resolved: Mapping[str, str], base: Interpreter) -> str:
    # An index of its own may have other content under the same version.
    index = without_password(spec.index)
    return _digest([_FORMAT, dict(resolved), base.version, base.platform, index])


def _request_file(spec: EnvironmentSpec, base: Interpreter, root: Path) -> Path:
    pins, apart = sorted(spec.pins), sorted(spec.no_dependencies)
    index = without_password(spec.index)
    request = [_FORMAT, pins, apart, base.version, base.platform, index]
    return root / f".resolved-{_digest(request)}.json"


def _remembered(spec: EnvironmentSpec, base: Interpreter, root: Path) -> dict[str, str] | None:
    kept = _json(_request_file(spec, base, root))
    resolved = (kept or {}).get("resolved")
    return dict(resolved) if isinstance(resolved, dict) else None


def _resolve(
    spec: EnvironmentSpec, base: Interpreter, root: Path, lock: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Ask pip what the pins come to, keep the answer, and return it: name to version."""
    say(f"{spec.name}: resolving its pins")
    pip = _pip(base, root, lock)
    resolved = pip_calls.resolve(pip, spec.name, spec.pins, index=spec.index)
    if spec.no_dependencies:
        resolved |= pip_calls.resolve(
            pip, spec.name, spec.no_dependencies, index=spec.index, dependencies=False
        )
    kept = {"key": _key(spec, resolved, base), "resolved": resolved}
    _write_json(_request_file(spec, base, root), kept)
    return resolved


def _pip(base: Interpreter, root: Path, lock: int) -> Path:
    """Return the interpreter of the venv that has pip, made if it is not there.

    ``lock`` is the descriptor of its lock, which the caller holds.
    """
    folder = root / f".pip-{base.version}"
    python = folder / "bin" / "python"
    marker = folder / _COMPLETE
    if not marker.is_file() or not python.exists():
        _remove_folder(folder)
        pip_calls.make_venv(base, folder, with_pip=True, held=lock)
        _write_json(marker, {})
    return python


def _build(
    spec: EnvironmentSpec,
    resolved: Mapping[str, str],
    base: Interpreter,
    folder: Path,
    lock: int,
    say: Callable[[str], None],
) -> Built:
    """Build in place. ``lock`` is the descriptor of the lock on the folder.

    pip holds it too: if this process is killed, the next builder waits until pip has ended as well
    and does not build into its feet.
    """
    with locked(folder.parent / f".pip-{base.version}.lock", say) as other:
        pip = _pip(base, folder.parent, other.descriptor)
    say(f"{spec.name}: building {folder} ({len(resolved)} packages; it may take some minutes)")
    python = folder / "bin" / "python"
    try:
        pip_calls.make_venv(base, folder, with_pip=False, held=lock)
        exact = [f"{name}=={version}" for name, version in sorted(resolved.items())]
        pip_calls.install(pip, python, spec.name, exact, index=spec.index, held=lock)
        there = pip_calls.probe(python)
    except BaseException:
        _remove_folder(folder)
        raise
    size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    manifest = {
        "format": _FORMAT,
        "spec": asdict(replace(spec, index=without_password(spec.index))),
        "key": folder.name,
        "versions": there.versions,
        "python_version": there.version,
        "platform": there.platform,
        "bytes": size,
    }
    _write_json(folder / _COMPLETE, manifest)
    return Built(spec, python, folder.name, there.versions, there.version, True, size)


def _complete(folder: Path, spec: EnvironmentSpec | None = None) -> Built | None:
    """Return the build in a folder, or None where it is not complete."""
    kept = _json(folder / _COMPLETE)
    if kept is None or kept.get("format") != _FORMAT:
        return None
    spec = spec or _SPEC.validate_python(kept["spec"])
    python = folder / "bin" / "python"
    versions = dict(kept["versions"])
    return Built(spec, python, kept["key"], versions, kept["python_version"], bytes=kept["bytes"])


def _changed(one: Built) -> str:
    """Say how a build differs from what was built: '' where it does not."""
    try:
        now = pip_calls.probe(one.python)
    except EnvironmentFailed:
        return "broken (its interpreter does not run)"
    if now.versions != one.versions:
        return "changed (other releases are in it than were installed)"
    return ""


def _remove_folder(folder: Path) -> None:
    """Remove a folder; its marker goes first, so that what is left of it counts as half built."""
    (folder / _COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _json(file: Path) -> dict[str, Any] | None:
    """Return a file of ours, or None where it is not there or not whole."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file so that it is whole under its name or not there."""
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=".draft-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=2, sort_keys=True)
    os.replace(draft, file)
