"""Which files of a hub repository a deployment needs, and which of them a snapshot lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from qualification.core.weight_files import gguf_parts, safetensors_in

if TYPE_CHECKING:
    from qualification.core.declarations import Source
    from qualification.core.protocol import LoadRequest

CONFIGURATION = ("*.json", "*.model", "*.tiktoken", "*.txt", "*.jinja")
"""What stands beside the weights of a repository, and what is taken of a tokenizer's."""


@dataclass(frozen=True)
class Part:
    """The files of one repository at one revision, by patterns as the hub's library takes them."""

    repository: str
    revision: str
    patterns: tuple[str, ...]

    def takes(self, name: str) -> bool:
        """Whether a file of the repository is one of them."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)


def parts_of(source: Source | LoadRequest) -> tuple[Part, ...]:
    """What a source takes from the hub; its own repository comes last."""
    beside = tuple(Part(name, "main", CONFIGURATION) for name in source.also_needs)
    if source.model_file:
        files = [str(file) for file in gguf_parts(Path(source.model_file))]
        patterns = [*files, source.mmproj_file] if source.mmproj_file else files
    else:
        patterns = [*CONFIGURATION, "*.safetensors", *["*.py"] * source.remote_code]
    return (*beside, Part(source.repository, source.revision, tuple(patterns)))


def missing(folder: Path, patterns: tuple[str, ...] | list[str]) -> tuple[str, ...]:
    """What a snapshot lacks of the requested files: an interrupted download leaves only a part.

    Each file that is named in full must be there; for safetensors ``config.json`` and all shards
    that the index names, or one file without shards. A link to a blob that is gone does not count.
    """
    lacking = [name for name in patterns if "*" not in name and not (folder / name).is_file()]
    if "*.safetensors" in patterns:
        lacking += [name for name in _needed(folder) if not (folder / name).is_file()]
        if not any(file.is_file() for file in safetensors_in(folder)) and not lacking:
            lacking = ["*.safetensors"]
    elif not lacking and not any(file.is_file() for file in folder.rglob("*")):
        lacking = [" ".join(patterns)]
    return tuple(lacking)


def _needed(folder: Path) -> list[str]:
    """Beside the one file of weights, or instead of it the shards of the index."""
    if (folder / "model.safetensors").is_file():
        return ["config.json"]
    shards: set[str] = set()
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards.update(map(str, json.loads(index.read_text())["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return [f"a readable {index.name}"]
    return ["config.json", *sorted(shards)]
