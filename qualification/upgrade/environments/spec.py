"""Environments as data: named sets of pins, and candidates that differ from one in a few of them.

A declared environment is a file of ``declarations/environments``, named after it. Two more kinds
need no file: ``here``, the interpreter that runs this, and any interpreter by its path. This module
installs nothing; ``cache`` does.
"""

from __future__ import annotations

import datetime
import difflib
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import ConfigDict

from qualification.core.errors import DeclarationError, EnvironmentFailed
from qualification.core.paths import DECLARATIONS, from_user
from qualification.core.text import without_login
from qualification.models.strict_toml import read_declarations

HERE = "here"
_FOLDER = DECLARATIONS / "environments"
_CONSTRAINTS = _FOLDER / "constraints.txt"
"""The exact releases that this project runs with; its own requirements are ranges."""
_DISTRIBUTION = "qualification"
FOLLOWS = {"mlx": "mlx-cpu"}
"""Library -> the separate package of its core on Linux, which must have the same version."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """The pins, the Python and the package index of an environment.

    ``pins`` and ``no_dependencies`` are PEP 508 requirements with one exact version and without
    markers, each distribution once in one of the two. Those of ``no_dependencies`` are installed
    without their dependencies. ``python`` ('3.11') is set if it must be another interpreter than
    ours. ``interpreter`` is the path of an existing one; then nothing is installed. ``index`` is a
    package index, '' for the one that pip is configured with. A candidate has the ``base`` that it
    changes, and in ``requested`` the canonical names of its own pins: the others may move if these
    contradict them. All that nobody asked for is of the day ``as_of`` ('2026-03-31') or older.
    """

    name: str
    title: str
    pins: tuple[str, ...]
    no_dependencies: tuple[str, ...] = ()
    python: str = ""
    interpreter: str = ""
    index: str = field(default="", repr=False)
    base: EnvironmentSpec | None = None
    requested: tuple[str, ...] = ()
    as_of: str = ""


@dataclass(frozen=True)
class _Declaration:
    """An environment's file: pins of its own, or this project's extras; never both of a name.

    ``no_dependencies`` names the pins that are installed without their dependencies.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    title: str
    pins: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    no_dependencies: tuple[str, ...] = ()
    python: str = ""
    index: str = ""


def environment_names(own: Path | None = None) -> tuple[str, ...]:
    """Return the names of the declared environments, sorted; ``own`` as in ``environment_spec``."""
    return tuple(sorted(_files(own)))


def environment_spec(text: str, own: Path | None = None) -> EnvironmentSpec:
    """Return a declared environment, ``here``, or the interpreter at a path (it has a ``/``).

    ``own`` is a user's folder of declarations; its ``environments`` come before those that ship.
    Raises EnvironmentFailed if none has that name, DeclarationError if its file is wrong.
    """
    if text == HERE:
        return EnvironmentSpec(
            HERE, "the interpreter that runs this", (), interpreter=sys.executable
        )
    if "/" in text:
        # Not resolved: the python of a venv is a link to one outside of the venv.
        path = from_user(text).absolute()
        return EnvironmentSpec(text, "an interpreter by its path", (), interpreter=str(path))
    files = _files(own)
    if text not in files:
        close = difflib.get_close_matches(text, files, n=1)
        hint = f"was {close[0]!r} meant? " if close else ""
        raise EnvironmentFailed(
            f"no environment is called {text!r}: {hint}declared are {', '.join(sorted(files))}; "
            f"'{HERE}' and the path of an interpreter are possible too"
        )
    return _read(files[text])


def _files(own: Path | None) -> dict[str, Path]:
    folders = (_FOLDER, *([own / "environments"] if own else ()))
    return {file.stem: file for folder in folders for file in folder.glob("*.toml")}


def candidate(
    base: EnvironmentSpec, changes: str | Sequence[str], as_of: str = ""
) -> EnvironmentSpec:
    """Return ``base`` with some of its pins replaced and others added.

    ``changes`` are requirements with one exact version, in a text with blanks between them or a
    list: ``"mlx-vlm==0.7.11 transformers==5.24.0"``. A replaced pin keeps its extras if the change
    names none, and mlx-cpu moves with mlx unless it is named. ``as_of`` is a day, as 2026-03-31.
    Raises EnvironmentFailed.
    """
    texts = changes.split() if isinstance(changes, str) else [text.strip() for text in changes]
    if not texts:
        raise EnvironmentFailed("the candidate changes nothing: write a pin, as mlx-vlm==0.7.11")
    if as_of and not _is_day(as_of):
        raise EnvironmentFailed(f"--as-of {as_of}: is no day: write year-month-day, as 2026-03-31")
    if base.interpreter:
        raise EnvironmentFailed(
            f"{base.name}: nothing is installed into an interpreter that exists already; "
            "base the candidate on a declared environment"
        )
    try:
        changed = _by_name([_pin(text) for text in texts])
    except ValueError as error:
        raise EnvironmentFailed(f"candidate: {error}") from error
    pins, apart = _parsed(base.pins), _parsed(base.no_dependencies)
    present = pins | apart
    for name, follower in FOLLOWS.items():
        if name in changed and follower in present and follower not in changed:
            changed[follower] = Requirement(f"{follower}{changed[name].specifier}")
    for name, pin in changed.items():
        if name in present and not pin.extras:
            pin.extras = present[name].extras
        (apart if name in apart else pins)[name] = pin
    return replace(
        base,
        name=f"{base.name} + {' '.join(texts)}{f' as of {as_of}' if as_of else ''}",
        title=f"{base.title}, with {', '.join(texts)}",
        pins=_written(pins),
        no_dependencies=_written(apart),
        base=base,
        requested=tuple(changed),
        as_of=as_of,
    )


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def relaxed(spec: EnvironmentSpec) -> tuple[str, ...]:
    """Return the pins of a candidate, those that it has from its base without their version."""
    pins = _parsed(spec.pins) | _parsed(spec.no_dependencies)
    return tuple(
        str(pin) if name in spec.requested else str(pin).replace(str(pin.specifier), "")
        for name, pin in pins.items()
    )


def moved(spec: EnvironmentSpec, versions: Mapping[str, str]) -> tuple[str, ...]:
    """Return the pins that moved beside those requested, each as ``tokenizers 0.23.3 → 0.22.2``.

    ``versions`` are those of the resolved set, by canonical name.
    """
    if spec.base is None:
        return ()
    steps = (
        (name, before, Version(versions[name]).public)
        for name, before in pinned(spec).items()
        if name not in spec.requested
    )
    return tuple(
        f"{name} {before} → {after}"
        for name, before, after in steps
        if Version(before).public != after
    )


def pinned(spec: EnvironmentSpec) -> dict[str, str]:
    """Return the pins of an environment: canonical name of the distribution -> version."""
    pins = {**_parsed(spec.pins), **_parsed(spec.no_dependencies)}
    return {name: _version(pin) for name, pin in pins.items()}


def _read(file: Path) -> EnvironmentSpec:
    declared = read_declarations(file, _Declaration)
    if not re.fullmatch(r"(3\.\d+)?", declared.python):
        raise DeclarationError(
            f"{file}: key 'python' is {declared.python!r}: write a version such as '3.11', or "
            "'' for the one that runs this"
        )
    if declared.index and not urlsplit(declared.index).scheme:
        raise DeclarationError(f"{file}: key 'index' is no address: write file:///… or https://…")
    if declared.index != without_login(declared.index):
        raise DeclarationError(
            f"{file}: key 'index' holds a user or a password: that belongs in pip's own "
            "configuration"
        )
    platform = _platform(declared.python)
    try:
        texts = [*declared.pins, *_of_extras(declared.extras, platform)]
        pins = _by_name([pin for text in texts if _applies(pin := _pin(text), platform)])
        apart = {canonicalize_name(name) for name in declared.no_dependencies}
        if unknown := sorted(apart - pins.keys()):
            raise ValueError(f"{unknown[0]} is in 'no_dependencies' and not pinned: pin it")
    except ValueError as error:
        raise DeclarationError(f"{file}: {error}") from error
    if not pins:
        raise DeclarationError(f"{file}: nothing is pinned: write pins or extras")
    return EnvironmentSpec(
        name=file.stem,
        title=declared.title,
        pins=_written({key: pin for key, pin in pins.items() if key not in apart}),
        no_dependencies=_written({key: pin for key, pin in pins.items() if key in apart}),
        python=declared.python,
        index=declared.index,
    )


def _of_extras(extras: Sequence[str], platform: Mapping[str, str]) -> list[str]:
    """Pin the requirements of this project's extras, as installed, to the constraints' releases.

    ValueError for an unknown extra, and for a requirement that the constraints do not pin.
    """
    if not extras:
        return []
    try:
        metadata = importlib.metadata.metadata(_DISTRIBUTION)
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(
            "its extras cannot be read, because this project is not installed: pip install it"
        ) from None
    declared = metadata.get_all("Provides-Extra") or []
    for extra in extras:
        if extra not in declared:
            raise ValueError(f"there is no extra {extra!r}: known are {', '.join(declared)}")
    releases = _constraints()
    pins = []
    for text in requirements:
        pin = Requirement(text)
        # Requirements outside of all extras are the harness's own; a worker does not need them.
        if pin.marker is None or pin.marker.evaluate({**platform, "extra": ""}):
            continue
        if any(pin.marker.evaluate({**platform, "extra": extra}) for extra in extras):
            name = canonicalize_name(pin.name)
            if name not in releases:
                raise ValueError(f"{_CONSTRAINTS} does not pin {name}: add {name}==version to it")
            pin.marker, pin.specifier = None, releases[name].specifier
            pins.append(str(pin))
    return pins


def _constraints() -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in _CONSTRAINTS.read_text().splitlines())
    return _by_name([_pin(line) for line in lines if line])


def _pin(text: str) -> Requirement:
    """Parse a requirement; ValueError if it is none, or has not one exact version."""
    try:
        pin = Requirement(text)
    except InvalidRequirement:
        raise ValueError(
            f"{text!r} is not a requirement: write name==version, without blanks"
        ) from None
    if pin.url:
        raise ValueError(
            f"{pin.name} is named by an address, which has no version to compare: put its wheel "
            "into a folder, name that by PIP_FIND_LINKS, and write name==version"
        )
    clauses = list(pin.specifier)
    if len(clauses) != 1 or clauses[0].operator != "==" or clauses[0].version.endswith(".*"):
        raise ValueError(f"{text!r} has not one exact version: write {pin.name}==version")
    return pin


def _applies(pin: Requirement, platform: Mapping[str, str]) -> bool:
    """Whether a pin's marker holds; the marker is removed."""
    marker, pin.marker = pin.marker, None
    return marker is None or marker.evaluate(dict(platform))


def _platform(python: str) -> dict[str, str]:
    """The values that markers are evaluated against: this machine's, with the named Python."""
    platform = {key: str(value) for key, value in default_environment().items()}
    if python and python != platform["python_version"]:
        platform.update(python_version=python, python_full_version=f"{python}.0")
    return platform


def _by_name(pins: Iterable[Requirement]) -> dict[str, Requirement]:
    """Key pins by canonical name; the extras of one name are joined.

    ValueError if two versions of one name are pinned.
    """
    by_name: dict[str, Requirement] = {}
    for pin in pins:
        earlier = by_name.setdefault(canonicalize_name(pin.name), pin)
        if earlier.specifier != pin.specifier:
            raise ValueError(
                f"{pin.name} is pinned twice, {earlier.specifier} and {pin.specifier}: keep one"
            )
        earlier.extras |= pin.extras
    return by_name


def _parsed(pins: Sequence[str]) -> dict[str, Requirement]:
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, pins)}


def _version(pin: Requirement) -> str:
    return next(iter(pin.specifier)).version


def _written(pins: Mapping[str, Requirement]) -> tuple[str, ...]:
    """Write pins in one canonical form: canonical names, sorted."""
    texts = []
    for name in sorted(pins):
        extras = ",".join(sorted(pins[name].extras))
        texts.append(f"{name}{f'[{extras}]' if extras else ''}=={_version(pins[name])}")
    return tuple(texts)
