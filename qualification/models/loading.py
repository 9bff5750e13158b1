"""Reads the declarations (TOML) into one frozen, cross-checked registry.

A user's folder is laid over the declarations that ship: an entry of the same name replaces the
shipped one, everything else is added before what ships.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from qualification.core.declarations import (
    BackendMemory,
    Chip,
    Combination,
    KnownBug,
    Model,
    Source,
    Tier,
)
from qualification.core.errors import DeclarationError
from qualification.core.paths import DECLARATIONS, canaries, from_user
from qualification.models.declaration_checks import Origin, check_declarations
from qualification.models.registry import Registry
from qualification.models.strict_toml import read_declarations

_SHIPPED = ("chips.toml", "tiers.toml", "models.toml", "bugs.toml", "memory.toml")
_NOT_OURS = ("memory_measured.toml", "regressions.toml", "pyproject.toml")
"""Files that a user's folder may hold and that are no declarations: other commands read them."""

_LABELS = {
    "models": "model",
    "tiers": "tier",
    "chips": "chip",
    "bugs": "bug",
    "backends": "backend",
    "together": "combination",
}


@dataclass(frozen=True)
class _Declarations:
    """What one file declares, or all files of a folder."""

    # Nested dataclasses inherit this configuration.
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)
    models: tuple[Model, ...] = ()
    tiers: tuple[Tier, ...] = ()
    chips: tuple[Chip, ...] = ()
    bugs: tuple[KnownBug, ...] = ()
    backends: tuple[BackendMemory, ...] = ()
    together: tuple[Combination, ...] = ()
    shipped: bool = True

    def entries(self) -> Iterator[tuple[str, int, str, Any]]:
        """The key of the list, the number from 0, the label and the entry, for all of them."""
        for key, label in _LABELS.items():
            for number, entry in enumerate(getattr(self, key)):
                yield key, number, f"{label} {_name(entry)!r}", entry


def load_registry(folder: Path | None = None) -> Registry:
    """The declarations that ship, with those of all ``*.toml`` files of ``folder`` laid over them.

    A file of the folder with ``shipped = false`` takes nothing of what ships but the memory
    constants of the backends. Raises DeclarationError.
    """
    shipped, origins = _read(DECLARATIONS, [DECLARATIONS / name for name in _SHIPPED])
    if folder is None:
        registry = _registry(shipped)
        check_declarations(registry, origins)
        return registry
    files = [file for file in _toml_files(folder) if file.name not in _NOT_OURS]
    own, own_origins = _read(folder, files)
    if not own.shipped:
        shipped, origins = _Declarations(backends=shipped.backends), {}
    labels = {label: entry for _key, _number, label, entry in shipped.entries()}
    replaced = [
        label
        for _key, _number, label, entry in own.entries()
        if label in labels and labels[label] != entry
    ]
    notes = f"{folder} replaces what ships: {', '.join(dict.fromkeys(replaced))}"
    registry = _registry(_laid_over(shipped, own), (notes,) if replaced else ())
    check_declarations(registry, origins | own_origins, own=frozenset(own_origins))
    return registry


def _registry(declared: _Declarations, notes: tuple[str, ...] = ()) -> Registry:
    return Registry(**{key: getattr(declared, key) for key in _LABELS}, notes=notes)


def _toml_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DeclarationError(f"{folder}: no such folder of declarations; correct its name")
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise DeclarationError(
            f"{folder}: holds no declarations; write a file there, such as models.toml with "
            "[[models]]"
        )
    return files


def _read(folder: Path, files: list[Path]) -> tuple[_Declarations, dict[str, Origin]]:
    """All entries of a folder, with local paths made absolute, and where each was declared."""
    lists: dict[str, Any] = {key: [] for key in _LABELS}
    origins: dict[str, Origin] = {}
    shipped = True
    for file in files:
        declared = read_declarations(file, _Declarations)
        shipped = shipped and declared.shipped
        for key, number, label, entry in declared.entries():
            lists[key].append(_located(entry, folder) if isinstance(entry, Model) else entry)
            origins.setdefault(label, Origin(file, (key, number)))
    entries: dict[str, Any] = {key: tuple(entries) for key, entries in lists.items()}
    return _Declarations(**entries, shipped=shipped), origins


def _laid_over(shipped: _Declarations, own: _Declarations) -> _Declarations:
    """The user's entries first, then those that ship under another name.

    A shipped combination of deployments goes with a deployment that the user's models took away.
    """
    merged: dict[str, Any] = {}
    for field in fields(_Declarations):
        if field.name in _LABELS:
            entries = getattr(own, field.name)
            names = {_name(entry) for entry in entries}
            remaining = (e for e in getattr(shipped, field.name) if _name(e) not in names)
            merged[field.name] = (*entries, *remaining)
    identifiers = {
        deployment.identifier for deployment in Registry(merged["models"], (), (), ()).deployments()
    }
    merged["together"] = (
        *own.together,
        *(
            combination
            for combination in merged["together"][len(own.together) :]
            if identifiers.issuperset(combination.deployments)
        ),
    )
    return _Declarations(**merged)


def _name(entry: Any) -> str:
    return str(entry.identifier if isinstance(entry, KnownBug) else entry.name)


def _located(model: Model, folder: Path) -> Model:
    """The model with the paths of its files made absolute; ``folder`` is the declaring file's."""
    config = folder / from_user(model.config or f"configs/{model.name}.json")
    return replace(
        model,
        config=str(config) if model.config or config.is_file() else "",
        sources=tuple(_with_local_path(source, folder) for source in model.sources),
    )


def _with_local_path(source: Source, folder: Path) -> Source:
    if not source.path:
        return source
    path = Path(os.path.abspath(folder / from_user(source.path)))
    if source.weights == "canary" and not path.exists():
        path = canaries().parent / source.path  # of a canary that ships
    projector = str(from_user(source.mmproj_file)) if source.mmproj_file else ""
    if path.suffix == ".gguf":
        return replace(source, path=str(path.parent), model_file=path.name, mmproj_file=projector)
    return replace(source, path=str(path), mmproj_file=projector)
