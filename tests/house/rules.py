"""The limits of the house, and the ratchet of vague names that only goes down."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from qualification.core.paths import PACKAGE
from tests.house.measures import (
    MAX_SKIPS,
    SKIP_MARK,
    Binding,
    backend_imports,
    bindings,
    crowded_folders,
    large_functions,
    long_modules,
    sources,
)

ROOT = PACKAGE.parent
PRODUCT, BESIDE = ("qualification",), ("tests", "benchmarks", "fixtures")
RATCHET = Path(__file__).with_name("ratchet.json")


@cache
def texts(folders: tuple[str, ...]) -> dict[Path, str]:
    """File, relative to the project, -> its source."""
    return {
        file.relative_to(ROOT): file.read_text(encoding="utf-8")
        for folder in folders
        for file in sources(ROOT / folder)
    }


@cache
def names(folders: tuple[str, ...]) -> tuple[Binding, ...]:
    """Every binding of these folders."""
    return tuple(
        binding for file, text in texts(folders).items() for binding in bindings(file, text)
    )


def vague(folders: tuple[str, ...]) -> list[Binding]:
    """The bindings of these folders that name no thing."""
    return [binding for binding in names(folders) if binding.is_vague]


def figures() -> list[str]:
    """One line for each part of the project, and the count of lines of each room."""
    lines = []
    for folders in (PRODUCT, BESIDE):
        count, total = len(vague(folders)), len(names(folders))
        lines.append(f"{' '.join(folders)}: {count} of {total} bindings are vague")
        lines[-1] += f" ({count / total:.2%})"
    rooms: dict[str, int] = {}
    for file, text in texts(PRODUCT).items():
        room = file.parts[1] if len(file.parts) > 2 else ""
        rooms[room] = rooms.get(room, 0) + text.count("\n")
    lines += [f"qualification/{room}: {count} lines" for room, count in sorted(rooms.items())]
    return lines


def broken_rules() -> list[str]:
    """A sentence for each rule that does not hold."""
    product, everything = texts(PRODUCT), texts((*PRODUCT, *BESIDE))
    broken = crowded_folders(list(everything)) + long_modules(everything)
    for file, text in product.items():
        broken += large_functions(file, text)
    for file, text in texts(("tests", "benchmarks")).items():
        broken += backend_imports(file, text)
    skips = sum(text.count(SKIP_MARK) for text in everything.values())
    if skips > MAX_SKIPS:
        broken.append(f"{skips} lines are kept from the formatter: {MAX_SKIPS} at most")
    return broken + _over_the_ratchet()


def _over_the_ratchet() -> list[str]:
    stored = json.loads(RATCHET.read_text(encoding="utf-8"))
    broken = []
    for key, folders in (("product", PRODUCT), ("beside", BESIDE)):
        offenders = vague(folders)
        if len(offenders) > stored[key]:
            places = [f"{binding.file}:{binding.line}: {binding.name}" for binding in offenders]
            broken.append(
                f"vague names in {key}: {len(offenders)}, over {stored[key]} in ratchet.json"
            )
            broken += places if key == "product" else []
        elif len(offenders) < stored[key]:
            broken.append(f"vague names in {key}: fewer, write {len(offenders)} into ratchet.json")
    return broken
