"""Reads the declarations (TOML) into one frozen, cross-checked registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from qualification.core.declarations import (
    BackendMemory,
    Chip,
    KnownBug,
    Model,
    Tier,
)
from qualification.core.declarations import Together as Combination
from qualification.core.paths import DECLARATIONS
from qualification.models.declaration_checks import (
    _check_bugs,
    _check_chips,
    _check_memory,
    _check_models,
    _check_tiers,
    _File,
)
from qualification.models.registry import Registry
from qualification.models.strict_toml import read_declarations

# Nested dataclasses of records inherit this configuration.
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class _Chips:
    __pydantic_config__ = _STRICT
    chips: tuple[Chip, ...]


@dataclass(frozen=True)
class _Tiers:
    __pydantic_config__ = _STRICT
    tiers: tuple[Tier, ...]


@dataclass(frozen=True)
class _Models:
    __pydantic_config__ = _STRICT
    models: tuple[Model, ...]


@dataclass(frozen=True)
class _Bugs:
    __pydantic_config__ = _STRICT
    bugs: tuple[KnownBug, ...]


@dataclass(frozen=True)
class _Memory:
    __pydantic_config__ = _STRICT
    backends: tuple[BackendMemory, ...]
    together: tuple[Combination, ...] = ()


def load_registry(folder: Path | None = None) -> Registry:
    """Read ``chips``, ``tiers``, ``models``, ``bugs``, ``memory`` (.toml) of a folder; check them.

    A folder without ``memory.toml`` has the constants that ship with the package.

    Raises DeclarationError; without ``folder`` the declarations that ship with the package.
    """
    folder = DECLARATIONS if folder is None else Path(folder)
    own = (folder / "memory.toml").exists()
    memory = read_declarations((folder if own else DECLARATIONS) / "memory.toml", _Memory)
    registry = Registry(
        backends=memory.backends,
        together=memory.together if own else (),
        chips=read_declarations(folder / "chips.toml", _Chips).chips,
        tiers=read_declarations(folder / "tiers.toml", _Tiers).tiers,
        models=read_declarations(folder / "models.toml", _Models).models,
        bugs=read_declarations(folder / "bugs.toml", _Bugs).bugs,
    )
    _check_chips(_File(folder / "chips.toml"), registry)
    _check_tiers(_File(folder / "tiers.toml"), registry)
    _check_models(_File(folder / "models.toml"), registry)
    _check_bugs(_File(folder / "bugs.toml"), registry)
    _check_memory(_File((folder if own else DECLARATIONS) / "memory.toml"), registry)
    return registry
