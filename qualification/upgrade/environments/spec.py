"""Environments as data: named sets of pins, and candidates that differ from one in a few of them.

A declared environment is a file of ``declarations/environments``, named after it; besides there is
``here``, the interpreter that runs this, and any interpreter by its path. Nothing is installed in
this module: that is ``environment_cache``.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pydantic import ConfigDict

from qualification.core.errors import DeclarationError, EnvironmentFailed
from qualification.core.paths import DECLARATIONS
from qualification.models.strict_toml import read_declarations

HERE = "here"
_FOLDER = DECLARATIONS / "environments"
_DISTRIBUTION = "qualification"
_FOLLOWS = {"mlx": "mlx-cpu"}
"""A library, and the part of it that other platforms get by itself and in the same version."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What an environment consists of.

    ``pins`` and ``no_dependencies`` are PEP 508 requirements with one exact version and without
    markers, each distribution once in one of the two. Those of ``no_dependencies`` are installed
    without what they depend on. ``python`` ('3.11') is set where it must be another interpreter
    than ours. ``interpreter`` is the path of one that exists already; then nothing is installed.
    ``index`` is a package index, '' for the one that pip is configured with.
    """

    name: str
    title: str
    pins: tuple[str, ...]
    no_dependencies: tuple[str, ...] = ()
    python: str = ""
    interpreter: str = ""
    index: str = ""


@dataclass(frozen=True)
class _Declaration:
    """An environment's file: pins of its own, or this project's extras; never both of a name.

    ``no_dependencies`` names those of the pins that are installed without what they depend on.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    title: str
    pins: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    no_dependencies: tuple[str, ...] = ()
    python: str = ""
    index: str = ""


def environment_names(folder: Path = _FOLDER) -> tuple[str, ...]:
    """Return the names of the declared environments, sorted."""
    return tuple(sorted(file.stem for file in folder.glob("*.toml")))


def environment_spec(text: str, folder: Path = _FOLDER) -> EnvironmentSpec:
    """Return a declared environment, ``here``, or the interpreter at a path (it has a ``/``).

    Raises EnvironmentFailed where there is none of that name, DeclarationError where its file is
    wrong.
    """
    if text == HERE:
        return EnvironmentSpec(
            HERE, "the interpreter that runs this", (), interpreter=sys.executable
        )
    if "/" in text:
        # Not resolved: the python of a venv is a link, and what it links to is not the venv's.
        path = Path(text).expanduser().absolute()
        return EnvironmentSpec(text, "an interpreter by its path", (), interpreter=str(path))
    names = environment_names(folder)
    if text not in names:
        close = difflib.get_close_matches(text, names, n=1)
        hint = f"was {close[0]!r} meant? " if close else ""
        raise EnvironmentFailed(
            f"no environment is called {text!r}: {hint}declared are {', '.join(names) or 'none'}; "
            f"'{HERE}' and the path of an interpreter go as well"
        )
    return _read(folder / f"{text}.toml")


def candidate(base: EnvironmentSpec, changes: str | Sequence[str]) -> EnvironmentSpec:
    """Return ``base`` with some of its pins replaced and others added.

    ``changes`` are requirements with one exact version, a text with blanks between them or a list:
    ``"mlx-vlm==0.7.11 transformers==5.24.0"``. Extras of a replaced pin are kept where the change
    names none, and mlx-cpu moves with mlx unless it is named. Raises EnvironmentFailed.
    """
    texts = changes.split() if isinstance(changes, str) else [one.strip() for one in changes]
    if not texts:
        raise EnvironmentFailed("the candidate changes nothing: write a pin, as mlx-vlm==0.7.11")
    if base.interpreter:
        raise EnvironmentFailed(
            f"{base.name}: nothing is installed into an interpreter that exists already; "
            "base the candidate on a declared environment"
        )
    try:
        wanted = _by_name([_pin(text) for text in texts])
    except ValueError as error:
        raise EnvironmentFailed(f"candidate: {error}") from error
    held = {**_parsed(base.pins), **_parsed(base.no_dependencies)}
    for name, follower in _FOLLOWS.items():
        if name in wanted and follower in held and follower not in wanted:
            wanted[follower] = Requirement(f"{follower}{wanted[name].specifier}")
    for name, pin in wanted.items():
        if name in held and not pin.extras:
            pin.extras = held[name].extras
    apart = _parsed(base.no_dependencies)
    pins = {**_parsed(base.pins), **{key: pin for key, pin in wanted.items() if key not in apart}}
    apart.update((key, pin) for key, pin in wanted.items() if key in apart)
    return replace(
        base,
        name=f"{base.name} + {' '.join(texts)}",
        title=f"{base.title}, with {', '.join(texts)}",
        pins=_written(pins),
        no_dependencies=_written(apart),
    )


def pinned(spec: EnvironmentSpec) -> dict[str, str]:
    """Return what an environment pins: canonical name of the distribution to its version."""
    pins = {**_parsed(spec.pins), **_parsed(spec.no_dependencies)}
    return {name: _version(pin) for name, pin in pins.items()}


def without_password(url: str) -> str:
    """Return an index's address without the user and the password that it may hold."""
    return re.sub(r"//[^/@]*@", "//", url)


def _read(file: Path) -> EnvironmentSpec:
    found = read_declarations(file, _Declaration)
    if not re.fullmatch(r"(3\.\d+)?", found.python):
        raise DeclarationError(
            f"{file}: key 'python' is {found.python!r}: write a version such as '3.11', or '' for "
            "the one that runs this"
        )
    if found.index and not urlsplit(found.index).scheme:
        raise DeclarationError(f"{file}: key 'index' is no address: write file:///… or https://…")
    if found.index != without_password(found.index):
        raise DeclarationError(
            f"{file}: key 'index' holds a user or a password: that belongs into pip's own "
            "configuration"
        )
    platform = _platform(found.python)
    try:
        texts = [*found.pins, *_of_extras(found.extras, platform)]
        pins = _by_name([pin for text in texts if _applies(pin := _pin(text), platform)])
        apart = {canonicalize_name(name) for name in found.no_dependencies}
        if unknown := sorted(apart - pins.keys()):
            raise ValueError(f"{unknown[0]} is in 'no_dependencies' and not pinned: pin it")
    except ValueError as error:
        raise DeclarationError(f"{file}: {error}") from error
    if not pins:
        raise DeclarationError(f"{file}: nothing is pinned: write pins or extras")
    return EnvironmentSpec(
        name=file.stem,
        title=found.title,
        pins=_written({key: pin for key, pin in pins.items() if key not in apart}),
        no_dependencies=_written({key: pin for key, pin in pins.items() if key in apart}),
        python=found.python,
        index=found.index,
    )


def _of_extras(extras: Sequence[str], platform: Mapping[str, str]) -> list[str]:
    """Return the requirements of this project's extras, as installed; ValueError if unknown."""
    if not extras:
        return []
    try:
        metadata = importlib.metadata.metadata(_DISTRIBUTION)
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(
            "its extras cannot be read, because this project is not installed: pip install -e ."
        ) from None
    known = metadata.get_all("Provides-Extra") or []
    for extra in extras:
        if extra not in known:
            raise ValueError(f"there is no extra {extra!r}: known are {', '.join(known)}")
    found = []
    for text in requirements:
        pin = Requirement(text)
        # What needs no extra is the harness itself; a worker does without it.
        if pin.marker is None or pin.marker.evaluate({**platform, "extra": ""}):
            continue
        if any(pin.marker.evaluate({**platform, "extra": extra}) for extra in extras):
            pin.marker = None
            found.append(str(pin))
    return found


def _pin(text: str) -> Requirement:
    """Parse a requirement; ValueError where it is none, or has not one exact version."""
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
    """Whether a pin's marker holds; the marker is taken off."""
    marker, pin.marker = pin.marker, None
    return marker is None or marker.evaluate(dict(platform))


def _platform(python: str) -> dict[str, str]:
    """What markers are evaluated against: this machine, with another Python if one is named."""
    platform = {key: str(value) for key, value in default_environment().items()}
    if python and python != platform["python_version"]:
        platform.update(python_version=python, python_full_version=f"{python}.0")
    return platform


def _by_name(pins: Iterable[Requirement]) -> dict[str, Requirement]:
    """Key pins by canonical name; the extras of one name are joined.

    ValueError where two versions of one name are pinned.
    """
    found: dict[str, Requirement] = {}
    for pin in pins:
        known = found.setdefault(canonicalize_name(pin.name), pin)
        if known.specifier != pin.specifier:
            raise ValueError(
                f"{pin.name} is pinned twice, {known.specifier} and {pin.specifier}: keep one"
            )
        known.extras |= pin.extras
    return found


def _parsed(pins: Sequence[str]) -> dict[str, Requirement]:
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, pins)}


def _version(pin: Requirement) -> str:
    return next(iter(pin.specifier)).version


def _written(pins: Mapping[str, Requirement]) -> tuple[str, ...]:
    """Write pins in the form that is the same for the same: canonical names, sorted."""
    texts = []
    for name in sorted(pins):
        extras = ",".join(sorted(pins[name].extras))
        texts.append(f"{name}{f'[{extras}]' if extras else ''}=={_version(pins[name])}")
    return tuple(texts)
