"""Which models lie on this disk: in the caches of the tools that people use, and in folders.

Headers are read, nothing is loaded or downloaded. One that is damaged or half downloaded is listed
with its fault; a loop of links ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qualification.core.declarations import Model
from qualification.core.errors import QualificationError
from qualification.core.paths import hub_cache
from qualification.core.weight_files import (
    gguf_parts,
    hub_id,
    partial_blobs,
)
from qualification.models.own.contradictions import contradictions
from qualification.models.own.inference import described
from qualification.models.own.targets import find, gguf_models, ollama_store

_DEEPEST = 8
_WEIGHTS = ("*.safetensors", "*.gguf")
_PARTIAL = (".incomplete", ".part", ".partial", ".download", ".downloadInProgress")


@dataclass(frozen=True)
class DiskModel:
    """A model on this disk; ``target`` is what ``pytest --model=`` takes.

    ``problem`` is why it cannot be tried, '' where it can; ``doubts`` are contradictions in it.
    """

    place: str
    target: str
    size_bytes: int = 0
    model: Model | None = None
    problem: str = ""
    doubts: tuple[str, ...] = ()


def places() -> dict[str, Path]:
    """Name -> folder of the caches that exist here."""
    home = Path.home()
    caches = home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    caches_by_name = {
        "hub": hub_cache(),
        "LM Studio": home / ".lmstudio/models",
        "LM Studio (older)": home / ".cache/lm-studio/models",
        "Ollama": ollama_store(),
        "llama.cpp": Path(os.environ.get("LLAMA_CACHE") or caches / "llama.cpp"),
    }
    return {name: folder for name, folder in caches_by_name.items() if folder.is_dir()}


def inventory(folders: Sequence[Path] = ()) -> Iterator[DiskModel]:
    """Every model in the caches, or only in ``folders`` where some are named."""
    if folders:
        for folder in folders:
            yield from _below("folder", folder.expanduser().absolute())
        return
    for place, folder in places().items():
        if place == "Ollama":
            yield from _ollama(folder)
        else:
            yield from _below(place, folder)


def _below(place: str, root: Path) -> Iterator[DiskModel]:
    visited: set[str] = set()
    for current, folders, files in os.walk(root, followlinks=True):
        folder = Path(current)
        real = os.path.realpath(folder)
        if real in visited or len(folder.relative_to(root).parts) > _DEEPEST:
            folders.clear()  # a loop of links, or another link to the same folder
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if name not in ("blobs", ".git", ".no_exist"))
        yield from _half_in_cache(place, folder)
        yield from _in_folder(place, folder, files)


def _half_in_cache(place: str, repository: Path) -> Iterator[DiskModel]:
    """A repository of the hub's cache whose download ended before any weights were whole."""
    name = hub_id(repository)
    partial = partial_blobs(repository) if name else []
    weights = (file for kind in _WEIGHTS for file in repository.glob(f"snapshots/*/{kind}"))
    if partial and not any(weights):
        problem = f"half downloaded ({len(partial)} files); go on with: hf download {name}"
        size = _size(repository / "blobs", [file.name for file in partial])
        yield DiskModel(place, name, size, problem=problem)


def _in_folder(place: str, folder: Path, files: Sequence[str]) -> Iterator[DiskModel]:
    partial = [name for name in files if name.endswith(_PARTIAL)]
    weights = [n for n in files if n.endswith(".safetensors") and not n.startswith(".")]
    pickled = [name for name in files if name.startswith("pytorch_model") and name.endswith(".bin")]
    if weights or ("model.safetensors.index.json" in files):
        yield _listed(place, _hub_name(folder), folder, weights)
    elif pickled:
        problem = f"pickled weights ({pickled[0]}), which can run code; convert them to safetensors"
        yield DiskModel(place, str(folder), _size(folder, pickled), problem=problem)
    models, _ = gguf_models(folder) if any(name.endswith(".gguf") for name in files) else ([], [])
    for name in models:
        parts = [part.name for part in gguf_parts(folder / name)]
        yield _listed(place, str(folder / name), folder, parts)
    for name in partial:
        problem = f"half downloaded ({name})"
        yield DiskModel(place, str(folder / name), _size(folder, [name]), problem=problem)


def _listed(place: str, text: str, folder: Path, files: Sequence[str]) -> DiskModel:
    size = _size(folder, files)
    try:
        target = find(text)
        model, _ = described(target, quick=True)
        return DiskModel(
            place, text, size, model, doubts=tuple(contradictions(target, model, quick=True))
        )
    except (QualificationError, OSError) as error:
        return DiskModel(place, text, size, problem=str(error).removeprefix(f"--model {text}: "))


def _hub_name(folder: Path) -> str:
    """``owner/name`` of a snapshot that the branch main means, else the folder."""
    repository = folder.parent.parent
    name = hub_id(repository)
    if folder.parent.name != "snapshots" or not name:
        return str(folder)
    try:
        commit = (repository / "refs/main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return str(folder)
    return name if commit == folder.name else str(folder)


def _ollama(store: Path) -> Iterator[DiskModel]:
    root = store / "manifests/registry.ollama.ai"
    for manifest in sorted(root.glob("*/*/*")):
        owner, name, tag = manifest.relative_to(root).parts
        text = f"{name}:{tag}" if owner == "library" else f"{owner}/{name}:{tag}"
        try:
            target = find(text)
        except QualificationError as error:
            yield DiskModel("Ollama", text, problem=str(error))
            continue
        files = [name for name in (target.model_file, target.mmproj_file) if name]
        yield _listed("Ollama", text, target.folder, files)


def _size(folder: Path, files: Sequence[str]) -> int:
    size = 0
    for name in files:
        try:
            size += (folder / name).stat().st_size
        except OSError:  # a link to nothing, or removed meanwhile
            continue
    return size
