"""Reads the declarations (TOML) into one frozen, cross-checked registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ConfigDict

from qualification.core.declarations import (
    BackendMemory,
    Chip,
    Combination,
    KnownBug,
    Model,
    Tier,
)
from qualification.core.paths import DECLARATIONS
from qualification.models.declaration_checks import check_declarations
from qualification.models.registry import Registry
from qualification.models.strict_toml import read_declarations

# Nested dataclasses inherit this configuration.
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

    Without ``folder`` the declarations that ship with the package; a folder without
    ``memory.toml`` uses the constants that ship. Raises DeclarationError.
    """
    folder = DECLARATIONS if folder is None else Path(folder)
    has_memory = (folder / "memory.toml").exists()
    memory_file = (folder if has_memory else DECLARATIONS) / "memory.toml"
    memory = read_declarations(memory_file, _Memory)
    registry = Registry(
        backends=memory.backends,
        together=memory.together if has_memory else (),
        chips=read_declarations(folder / "chips.toml", _Chips).chips,
        tiers=read_declarations(folder / "tiers.toml", _Tiers).tiers,
        models=read_declarations(folder / "models.toml", _Models).models,
        bugs=read_declarations(folder / "bugs.toml", _Bugs).bugs,
    )
    check_declarations(registry, folder, memory_file)
    return registry
