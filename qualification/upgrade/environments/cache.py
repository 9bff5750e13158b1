"""The cache of built environments: a venv for each resolved set of releases, whole or built again.

A request (pins, Python, platform, index, day) is resolved once, and the answer is stored, so that
the same request gives the same releases on another day. A build lies in a folder named by a digest
of the resolved set, so requests that resolve to the same releases share it. A venv cannot be moved,
so it is built in place, and ``complete.json`` is written last: a folder without it is half built.
uv resolves and installs, or pip where ``QUALIFY_INSTALLER`` is ``pip``.

::

    environments/
      .pip-3.11.7/              a venv with pip, where something asks for it
      .resolved-<request>.json  what a request resolved to
      .<key>.lock               held by the process that builds, and by its installer
      <key>/complete.json  bin/python …
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from qualification.core.errors import EnvironmentFailed
from qualification.core.file_lock import locked
from qualification.core.files import write_whole
from qualification.core.pace import Paced, growing
from qualification.core.paths import cache as cache_folder
from qualification.core.text import without_login
from qualification.upgrade.environments.interpreters import Interpreter, interpreter_of, probe
from qualification.upgrade.environments.pip import Pip, make_pip
from qualification.upgrade.environments.spec import EnvironmentSpec, moved
from qualification.upgrade.environments.uv import Uv, fetched_interpreter
from qualification.upgrade.environments.uv_program import uv_program

_SPEC = TypeAdapter(EnvironmentSpec)
_COMPLETE = "complete.json"
_FORMAT = 1
"""Format of this cache's files: when it is raised, everything is resolved and built again."""


@dataclass(frozen=True)
class Built:
    """An environment that a worker can be started in.

    ``python`` is its interpreter, ``key`` the digest of its resolved set, ``versions`` the version
    of every distribution in it by canonical name, ``fresh`` whether it was built just now, and
    ``bytes`` its own size on disk, without links to files that others have too (0 for an
    interpreter that existed already).
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
        interpreter = probe(Path(spec.interpreter))
        key = _digest([interpreter.versions, interpreter.version, interpreter.platform])
        return Built(spec, interpreter.path, key, interpreter.versions, interpreter.version)
    root = root or _root()
    base = interpreter_of(spec.python) or _fetched(spec, say)
    try:
        root.mkdir(parents=True, exist_ok=True)
        resolved = _resolved(spec, base, root, say)
        if steps := moved(spec, resolved):
            say(f"{spec.name}: moved beside what was asked for: {', '.join(steps)}")
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
    """Return the environment if it is built already, without the network."""
    root = root or _root()
    base = interpreter_of(spec.python)
    resolved = _stored_resolution(spec, base, root) if base else None
    if base is None or resolved is None:
        return None
    return _complete(root / _key(spec, resolved, base), spec)


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
    root = folder.parent
    with locked(root / f".{folder.name}.lock", say) as lock:
        with locked(_resolving(root, build.python_version), say):
            for file in root.glob(".resolved-*.json"):
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
    index = without_login(spec.index)
    return _digest([_FORMAT, dict(resolved), base.version, base.platform, index])


def _request_file(spec: EnvironmentSpec, base: Interpreter, root: Path) -> Path:
    index = without_login(spec.index)
    request = [_FORMAT, *_pins(spec), base.version, base.platform, index]
    if spec.base:
        request += [*_pins(spec.base), sorted(spec.requested), spec.as_of]
    return root / f".resolved-{_digest(request)}.json"


def _pins(spec: EnvironmentSpec) -> tuple[list[str], list[str]]:
    return sorted(spec.pins), sorted(spec.no_dependencies)


def _resolving(root: Path, python_version: str) -> Path:
    """The lock of whoever reads and writes the resolutions of one Python."""
    return root / f".resolve-{python_version}.lock"


def _stored_resolution(
    spec: EnvironmentSpec, base: Interpreter, root: Path
) -> dict[str, str] | None:
    content = _json(_request_file(spec, base, root))
    resolved = (content or {}).get("resolved")
    return dict(resolved) if isinstance(resolved, dict) else None


def _resolved(
    spec: EnvironmentSpec, base: Interpreter, root: Path, say: Callable[[str], None]
) -> dict[str, str]:
    """Return the stored resolution of a request; name to version. Resolve it first if need be."""
    stored = _stored_resolution(spec, base, root)
    if stored is not None:
        return stored
    preferred = _resolved(spec.base, base, root, say) if spec.base and not _by_pip() else {}
    with locked(_resolving(root, base.version), say):
        # Whoever held the lock may have resolved the same request meanwhile.
        resolved = _stored_resolution(spec, base, root)
        if resolved is None:
            say(f"{spec.name}: resolving its pins")
            resolved = _installer(base, root, say).resolve(spec, preferred)
            content = {"key": _key(spec, resolved, base), "resolved": resolved}
            write_whole(_request_file(spec, base, root), _json_text(content))
    return resolved


def _fetched(spec: EnvironmentSpec, say: Callable[[str], None]) -> Interpreter:
    if _by_pip():
        raise EnvironmentFailed(
            f"there is no Python {spec.python} on the PATH: install it "
            f"(python{spec.python} must run)"
        )
    return fetched_interpreter(spec.python, say)


def _by_pip() -> bool:
    """Whether the user chose pip. Raises EnvironmentFailed for another word than uv or pip."""
    choice = os.environ.get("QUALIFY_INSTALLER") or "uv"
    if choice not in ("uv", "pip"):
        raise EnvironmentFailed(f"QUALIFY_INSTALLER is {choice!r}: write uv (the default) or pip")
    return choice == "pip"


def _installer(base: Interpreter, root: Path, say: Callable[[str], None]) -> Uv | Pip:
    return Pip(with_pip(base, root, say)) if _by_pip() else Uv(uv_program(say), base)


def with_pip(
    base: Interpreter, root: Path | None = None, say: Callable[[str], None] = _nothing
) -> Path:
    """Return an interpreter with pip, of the same Python; made if it is missing.

    Raises EnvironmentFailed.
    """
    folder = (root or _root()) / f".pip-{base.version}"
    python = folder / "bin" / "python"
    marker = folder / _COMPLETE
    with locked(folder.with_name(f"{folder.name}.lock"), say) as lock:
        if not marker.is_file() or not python.exists():
            _remove_folder(folder)
            make_pip(base, folder, lock.descriptor)
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

    The installer inherits the lock: if this process is killed, the next builder waits until it has
    ended too, and the two never write into the folder at the same time.
    """
    installer = _installer(base, folder.parent, say)
    say(f"{spec.name}: building {folder} ({len(resolved)} packages; it may take some minutes)")
    python = folder / "bin" / "python"
    hear = Paced(say, is_terminal=sys.stderr.isatty())
    try:
        with growing(folder, f"{spec.name}: building", hear):
            installer.make_venv(base, folder, lock)
            exact = [f"{name}=={version}" for name, version in sorted(resolved.items())]
            installer.install(spec, python, exact, lock)
        interpreter = probe(python)
    except BaseException:
        _remove_folder(folder)
        raise
    files = [file.lstat() for file in folder.rglob("*") if not file.is_dir()]
    size = sum(file.st_size for file in files if file.st_nlink == 1)
    manifest = {
        "format": _FORMAT,
        # Without the base of a candidate: no request is made from this again.
        "spec": asdict(replace(spec, index=without_login(spec.index), base=None)),
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
        interpreter = probe(build.python)
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
