"""How two resolved environments differ, and one of them with one package moved. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from qualification.upgrade.environments.cache import Built
from qualification.upgrade.environments.spec import EnvironmentSpec

NOT_MOVED = ("pip", "setuptools", "wheel", "qualification")
"""Packages that install others, and ourselves: they are not searched."""

SUSPECTS = (
    "mlx-vlm",
    "mlx",
    "llama-cpp-python",
    "xllamacpp",
    "transformers",
    "torch",
    "mlx-lm",
    "tokenizers",
    "torchvision",
    "huggingface-hub",
    "numpy",
    "pillow",
)
"""Tried in this order, after packages that were named as pins and before all others."""

TOGETHER = (("mlx", "mlx-cpu", "mlx-metal", "mlx-cuda"),)
"""Parts of one library, which does not load if their versions differ."""


@dataclass(frozen=True)
class Move:
    """Packages that go from good's version to bad's in one step; '' where they are absent."""

    packages: tuple[str, ...]
    good: str
    bad: str

    @property
    def package(self) -> str:
        """The package that names the move."""
        return self.packages[0]


def differing(
    good: Mapping[str, str], bad: Mapping[str, str], named: Sequence[str] = ()
) -> tuple[Move, ...]:
    """Return the moves between two resolved sets (name -> version), most suspect first."""
    good, bad = _canonical(good), _canonical(bad)

    def step(name: str) -> tuple[str, str]:
        return good.get(name, ""), bad.get(name, "")

    order = dict.fromkeys((*map(canonicalize_name, named), *SUSPECTS))
    rank: dict[str, int] = {name: number for number, name in enumerate(order)}
    names = {
        name for name in (*good, *bad) if step(name)[0] != step(name)[1] and name not in NOT_MOVED
    }
    moves: dict[tuple[str, ...], Move] = {}
    for name in sorted(names, key=lambda name: (rank.get(name, len(rank)), name)):
        family = next((parts for parts in TOGETHER if name in parts), (name,))
        parts = tuple(part for part in family if step(part) == step(name))
        moves.setdefault(parts, Move(parts, *step(name)))
    return tuple(moves.values())


def pinned(built: Built, changes: Mapping[str, str]) -> EnvironmentSpec:
    """Return a spec of everything in ``built``, with ``changes`` (package -> version, '' without).

    A local version (``+cpu``) is left off, because no index knows a release by it.
    """
    alone = {name_of(pin) for pin in built.spec.no_dependencies}
    versions = {
        name: str(Version(version).public)
        for name, version in _canonical(built.versions).items()
        if name not in NOT_MOVED
    }
    versions |= changes
    pins = {name: f"{name}=={version}" for name, version in sorted(versions.items()) if version}
    python = built.spec.python
    if built.spec.interpreter:
        python = ".".join(built.python_version.split(".")[:2])
    moved = ", ".join(f"{name}=={version}" for name, version in changes.items())
    return dataclasses.replace(
        built.spec,
        name=f"{built.spec.name} + {moved}" if moved else built.spec.name,
        title="",
        pins=tuple(pin for name, pin in pins.items() if name not in alone),
        no_dependencies=tuple(pin for name, pin in pins.items() if name in alone),
        python=python,
        interpreter="",
        base=None,
        requested=(),
        as_of="",
    )


def pins_that_differ(good: EnvironmentSpec, bad: EnvironmentSpec) -> list[str]:
    """Names of the pins that are written in one spec and not equally in the other, in order."""
    pins = [*good.pins, *bad.pins]
    return [name_of(pin) for pin in pins if not (pin in good.pins and pin in bad.pins)]


def name_of(pin: str) -> str:
    """The canonical name of the package that a pin is for."""
    try:
        return canonicalize_name(Requirement(pin).name)
    except InvalidRequirement:
        return canonicalize_name(re.split(r"[\s\[=<>!~;@]", pin, maxsplit=1)[0])


def _canonical(versions: Mapping[str, str]) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in versions.items()}
