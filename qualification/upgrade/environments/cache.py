"""The cache of built environments: a venv for each resolved set of releases, whole or built again.

A request (pins, Python, platform, index) is resolved by pip once, and the answer is stored, so that
the same request gives the same releases on another day. A build lies in a folder named by a digest
of the resolved set, so requests that resolve to the same releases share it. A venv cannot be moved,
so it is built in place, and ``complete.json`` is written last: a folder without it is half built.

::

    environments/
      .pip-3.11.7/              a venv with the pip that resolves and installs
      .resolved-<request>.json  what a request resolved to
      .<key>.lock               held by the process that builds, and by its pip
      <key>/complete.json  bin/python …
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from qualification.core.errors import EnvironmentFailed
from qualification.core.file_lock import locked
from qualification.core.files import write_whole
from qualification.core.paths import cache as cache_folder
from qualification.upgrade.environments import pip as pip_calls
from qualification.upgrade.environments.pip import Interpreter
from qualification.upgrade.environments.spec import EnvironmentSpec, without_password

_SPEC = TypeAdapter(EnvironmentSpec)
_COMPLETE = "complete.json"
_FORMAT = 1
"""Format of this cache's files: when it is raised, everything is resolved and built again."""


@dataclass(frozen=True)
class Built:
    """An environment that a worker can be started in.

    ``python`` is its interpreter, ``key`` the digest of its resolved set, ``versions`` the version
    of every distribution in it by canonical name, ``fresh`` whether it was built just now, and
    ``bytes`` its size on disk (0 for an interpreter that existed already).
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
    """Return the environment, built now if it is missing.

    ``root`` is the cache's folder (default: ``environments`` in the user's cache); ``say`` gets a
    sentence before each long step. Raises EnvironmentFailed.
    """
    if spec.interpreter:
        interpreter = pip_calls.probe(Path(spec.interpreter))
        key = _digest([interpreter.versions, interpreter.version, interpreter.platform])
        return Built(spec, interpreter.path, key, interpreter.versions, interpreter.version)
    root = root or _root()
    base = pip_calls.base_interpreter(spec.python)
    try:
        root.mkdir(parents=True, exist_ok=True)
        resolved = _stored_resolution(spec, base, root)
        if resolved is None:
            with locked(root / f".pip-{base.version}.lock", say) as lock:
                # Whoever held the lock may have resolved the same request meanwhile.
                resolved = _stored_resolution(spec, base, root)
                if resolved is None:
                    resolved = _resolve(spec, base, root, lock.descriptor, say)
        folder = root / _key(spec, resolved, base)
        with locked(root / f".{folder.name}.lock", say) as lock:
            # With the lock held nobody builds: a folder is complete, or its builder has died.
            if folder.is_dir():
                existing = _complete(folder, spec)
                # Other releases than were installed would be measured under the wrong name.
                damage = "half built" if existing is None else _changed(existing)
                if existing is not None and not damage:
                    return existing
                say(f"{spec.name}: {folder} is {damage}; it is removed and built again")
                _remove_folder(folder)
            return _build(spec, resolved, base, folder, lock.descriptor, say)
    except OSError as error:
        raise EnvironmentFailed(
            f"{spec.name}: {error.filename or root}: {error.strerror or error}; the cache of "
            "environments must be a writable folder with free space (QUALIFY_CACHE names it)"
        ) from error


def find(spec: EnvironmentSpec, *, root: Path | None = None) -> Built | None:
    """Return the environment if it is built already, without asking pip or the network."""
    root = root or _root()
    try:
        base = pip_calls.base_interpreter(spec.python)
    except EnvironmentFailed:
        return None
    resolved = _stored_resolution(spec, base, root)
    return None if resolved is None else _complete(root / _key(spec, resolved, base), spec)


def built(root: Path | None = None) -> tuple[Built, ...]:
    """Return the builds in the cache, each with the ``spec`` that it was first built for."""
    root = root or _root()
    builds = (_complete(file.parent) for file in sorted(root.glob(f"*/{_COMPLETE}")))
    return tuple(build for build in builds if build is not None)


def remove(build: Built, say: Callable[[str], None] = _nothing) -> None:
    """Remove a build from the cache, and the stored resolutions that name it.

    Waits for a process that builds it. Raises EnvironmentFailed if it is not in a cache.
    """
    folder = build.python.parent.parent
    if folder.name != build.key or not (folder / _COMPLETE).is_file():
        raise EnvironmentFailed(f"{build.python}: is not in the cache of environments, so it stays")
    with locked(folder.parent / f".{folder.name}.lock", say) as lock:
        for file in folder.parent.glob(".resolved-*.json"):
            with contextlib.suppress(OSError):
                if (_json(file) or {}).get("key") == build.key:
                    file.unlink()
        _remove_folder(folder)
        lock.path.unlink(missing_ok=True)


def _root() -> Path:
    return cache_folder() / "environments"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _key(spec: EnvironmentSpec, resolved: Mapping[str, str], base: Interpreter) -> str:
    # Another index may have other content under the same version.
    index = without_password(spec.index)
    return _digest([_FORMAT, dict(resolved), base.version, base.platform, index])


def _request_file(spec: EnvironmentSpec, base: Interpreter, root: Path) -> Path:
    pins, apart = sorted(spec.pins), sorted(spec.no_dependencies)
    index = without_password(spec.index)
    request = [_FORMAT, pins, apart, base.version, base.platform, index]
    return root / f".resolved-{_digest(request)}.json"


def _stored_resolution(
    spec: EnvironmentSpec, base: Interpreter, root: Path
) -> dict[str, str] | None:
    content = _json(_request_file(spec, base, root))
    resolved = (content or {}).get("resolved")
    return dict(resolved) if isinstance(resolved, dict) else None


def _resolve(
    spec: EnvironmentSpec, base: Interpreter, root: Path, lock: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Have pip resolve the pins, store the answer, and return it: name to version."""
    say(f"{spec.name}: resolving its pins")
    pip = _pip(base, root, lock)
    resolved = pip_calls.resolve(pip, spec.name, spec.pins, index=spec.index)
    if spec.no_dependencies:
        resolved |= pip_calls.resolve(
            pip, spec.name, spec.no_dependencies, index=spec.index, dependencies=False
        )
    content = {"key": _key(spec, resolved, base), "resolved": resolved}
    write_whole(_request_file(spec, base, root), _json_text(content))
    return resolved


def _pip(base: Interpreter, root: Path, lock: int) -> Path:
    """Return the interpreter of the venv that has pip, made if it is missing.

    ``lock`` is the descriptor of its lock, which the caller holds.
    """
    folder = root / f".pip-{base.version}"
    python = folder / "bin" / "python"
    marker = folder / _COMPLETE
    if not marker.is_file() or not python.exists():
        _remove_folder(folder)
        pip_calls.make_venv(base, folder, with_pip=True, lock=lock)
        write_whole(marker, "{}")
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

    pip inherits the lock: if this process is killed, the next builder waits until pip has ended
    too, and the two never write into the folder at the same time.
    """
    with locked(folder.parent / f".pip-{base.version}.lock", say) as pip_lock:
        pip = _pip(base, folder.parent, pip_lock.descriptor)
    say(f"{spec.name}: building {folder} ({len(resolved)} packages; it may take some minutes)")
    python = folder / "bin" / "python"
    try:
        pip_calls.make_venv(base, folder, with_pip=False, lock=lock)
        exact = [f"{name}=={version}" for name, version in sorted(resolved.items())]
        pip_calls.install(pip, python, spec.name, exact, index=spec.index, lock=lock)
        interpreter = pip_calls.probe(python)
    except BaseException:
        _remove_folder(folder)
        raise
    size = sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
    manifest = {
        "format": _FORMAT,
        "spec": asdict(replace(spec, index=without_password(spec.index))),
        "key": folder.name,
        "versions": interpreter.versions,
        "python_version": interpreter.version,
        "platform": interpreter.platform,
        "bytes": size,
    }
    write_whole(folder / _COMPLETE, _json_text(manifest))
    versions, version = interpreter.versions, interpreter.version
    return Built(spec, python, folder.name, versions, version, True, size)


def _complete(folder: Path, spec: EnvironmentSpec | None = None) -> Built | None:
    """Return the build in a folder, or None if it is not complete."""
    manifest = _json(folder / _COMPLETE)
    if manifest is None or manifest.get("format") != _FORMAT:
        return None
    spec = spec or _SPEC.validate_python(manifest["spec"])
    python = folder / "bin" / "python"
    versions, version = dict(manifest["versions"]), manifest["python_version"]
    return Built(spec, python, manifest["key"], versions, version, bytes=manifest["bytes"])


def _changed(build: Built) -> str:
    """A phrase on how a build has changed since it was built; '' if it has not."""
    try:
        interpreter = pip_calls.probe(build.python)
    except EnvironmentFailed:
        return "broken (its interpreter does not run)"
    if interpreter.versions != build.versions:
        return "changed (it has other releases than were installed)"
    return ""


def _remove_folder(folder: Path) -> None:
    """Remove a folder, its marker first, so that an unfinished removal counts as half built."""
    (folder / _COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _json(file: Path) -> dict[str, Any] | None:
    """Return the content of a file of this cache, or None if it is missing or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _json_text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True)
