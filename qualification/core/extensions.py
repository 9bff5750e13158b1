"""What other installed packages add to this one: entry points of the groups that are read here.

A package registers an object under a name of its own::

    [project.entry-points."qualification.backends"]
    toy = "acme_toy:BACKEND"

================================  ============================================================
``qualification.backends``        a :class:`~qualification.core.backends.BackendSpec`
``qualification.servers``         a :class:`~qualification.core.servers.ServerProgram`
``qualification.metrics``         a :class:`~qualification.core.metrics.Metric`
``qualification.families``        a :class:`~qualification.models.families.Family`
``qualification.suites``          a package of test files, which is not imported here
================================  ============================================================

An extension that cannot be used is named with its package, and everything else works.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T")

_PREFIX = "qualification."


@dataclass(frozen=True)
class Extension:
    """One entry point that is used: its name, and the package (with its version) it comes from."""

    group: str
    name: str
    package: str


@dataclass(frozen=True)
class BrokenExtension:
    """One entry point that cannot be used; ``problem`` is a clause that says why."""

    group: str
    name: str
    package: str
    problem: str

    @property
    def sentence(self) -> str:
        """The package, what it registers, and why it is left out."""
        return (
            f"{self.package} registers {self.name!r} in {self.group}, which is left out: "
            f"{self.problem}"
        )


_USED: list[Extension] = []
_BROKEN: list[BrokenExtension] = []


def extensions(group: str, kind: type[_T], reserved: Collection[str] = ()) -> dict[str, _T]:
    """The objects that other packages register in ``qualification.GROUP``, by their entry's name.

    ``reserved`` are the names that ship; none of them can be replaced. An object that does not
    import, is no ``kind``, calls itself by another name than its entry, or has a name that is taken
    is left out: see :func:`broken`. Importing is the package's own code: it may raise anything.
    """
    objects: dict[str, _T] = {}
    for entry in _entry_points(group):
        package = _package(entry)
        try:
            candidate = entry.load()
        except (Exception, SystemExit) as error:
            problem = f"it does not import ({type(error).__name__}: {error})"
        else:
            problem = _problem(candidate, entry.name, kind, {*reserved, *objects})
        if problem:
            _BROKEN.append(BrokenExtension(_PREFIX + group, entry.name, package, problem))
        else:
            objects[entry.name] = candidate
            _USED.append(Extension(_PREFIX + group, entry.name, package))
    return objects


def suite_packages() -> tuple[str, ...]:
    """The packages of test files in ``qualification.suites``, by their import names."""
    return tuple(entry.value for entry in _entry_points("suites"))


def used() -> tuple[Extension, ...]:
    """The extensions that are used, of the groups that were read so far."""
    return tuple(_USED)


def broken() -> tuple[BrokenExtension, ...]:
    """The extensions that are left out, of the groups that were read so far."""
    return tuple(_BROKEN)


@functools.cache
def _installed() -> Any:
    return importlib.metadata.entry_points()  # every group: it reads a file of each distribution


@functools.cache
def _entry_points(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    entries = _installed().select(group=_PREFIX + group)
    return tuple(sorted(entries, key=lambda entry: (entry.name, _package(entry))))


def _package(entry: importlib.metadata.EntryPoint) -> str:
    distribution = entry.dist
    return f"{distribution.name} {distribution.version}" if distribution else entry.value


def _problem(candidate: object, name: str, kind: type, occupied: Collection[str]) -> str:
    """Why a registered object cannot be used; '' if it can."""
    if not isinstance(candidate, kind):
        return f"it is no {kind.__name__} but {type(candidate).__name__}"
    if (own_name := getattr(candidate, "name", name)) != name:
        return f"the {kind.__name__} calls itself {own_name!r}"
    if name in occupied:
        return "the name is taken; register it under another"
    return ""
