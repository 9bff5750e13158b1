"""The cache of synthetic weights: a folder for each deployment, whole or not there.

It is made in a folder beside, which is renamed when it is whole. A lock per folder makes the second
of two builders wait for the first and find its work; what a builder that died has left is removed
by the next one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.errors import DeclarationError, WeightsError, WeightsUnavailable
from qualification.core.file_lock import locked
from qualification.core.paths import cache as cache_folder
from qualification.models import layouts
from qualification.models.layouts.safetensors_files import BITS
from qualification.models.synthetic import gguf_file, processor_files, safetensors_file
from qualification.models.synthetic.values import SEED

MANIFEST = "synthetic.json"
VERSION = 1
"""Of what is written, tensors aside: raised, everything in the cache is made again."""

_LEFT_FREE = 1_000_000_000
"""Bytes of the disk that are never used up."""


@dataclass(frozen=True)
class Entry:
    """One folder of the cache, by its manifest; ``current`` False: this release makes another."""

    deployment: str
    folder: Path
    bytes: int
    current: bool


def needed_bytes(deployment: Deployment) -> int:
    """Bytes of all tensors; DeclarationError where the deployment has no layout."""
    return sum(one.bytes for tensors in layouts.contents(deployment).values() for one in tensors)


def ready(deployment: Deployment, fixtures: Path, *, memory_limit: float = float("inf")) -> Path:
    """The folder with the weights of a deployment, made now if it is not there.

    ``memory_limit`` is what this machine can give a model, in bytes. Raises WeightsUnavailable,
    before anything is written, where the weights are larger or the disk is too full.
    """
    root = cache_folder() / "synthetic"
    name = _name(deployment)
    needed = needed_bytes(deployment)
    if needed > memory_limit:
        raise WeightsUnavailable(
            f"{deployment.identifier}: its weights take {needed / 1e9:.1f} GB and this machine "
            f"can give {memory_limit / 1e9:.1f} GB, so none were made"
        )
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f".{name}.lock"):
        folder = root / name
        if folder.is_dir():
            return folder
        for half in root.glob(f".{name}.draft-*"):
            shutil.rmtree(half)
        _require_room(root, needed, deployment)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.draft-", dir=root))
        try:
            _make(deployment, draft, fixtures / "canaries")
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def entries(deployments: tuple[Deployment, ...]) -> list[Entry]:
    """What is in the cache; ``deployments`` are those that this release would make.

    Raises WeightsError where a folder's manifest cannot be read.
    """
    current = {_name(one) for one in deployments if _has_layout(one)}
    found = []
    for manifest in sorted((cache_folder() / "synthetic").glob(f"*/{MANIFEST}")):
        folder = manifest.parent
        try:
            name = str(json.loads(manifest.read_text(encoding="utf-8"))["deployment"])
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{manifest}: cannot be read ({error}); remove its folder"
            ) from error
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        found.append(Entry(name, folder, size, folder.name in current))
    return found


def remove(entry: Entry) -> None:
    """Remove a folder of the cache; one that is being made is waited for."""
    with locked(entry.folder.parent / f".{entry.folder.name}.lock") as lock:
        shutil.rmtree(entry.folder, ignore_errors=True)
        lock.path.unlink(missing_ok=True)


def _make(deployment: Deployment, folder: Path, canaries: Path) -> None:
    started = time.perf_counter()
    source = deployment.source
    declared = layouts.declared(deployment.model.name)
    canary = canaries / declared["canary"]
    files = layouts.contents(deployment)
    for name, tensors in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if source.engine != "llamacpp":
            bits = BITS.get(source.quantisation, 0)
            safetensors_file.write(file, tensors, bits=bits, made_by="mlx" if bits else "pt")
        elif name == source.mmproj_file:
            gguf_file.write_mmproj(file, canary / "gguf/mmproj.gguf", tensors, declared)
        else:
            gguf_file.write_text_model(
                file, canary / "gguf/model.gguf", tensors, declared["config.json"],
                source.quantisation,
            )  # fmt: skip
    if source.engine != "llamacpp":
        processor_files.write(folder, canary, declared, source.quantisation)
    manifest = {
        "what": "random values at the shape of a real model: what they answer is noise",
        "deployment": deployment.identifier,
        "files": {name: (folder / name).stat().st_size for name in files},
        "seed": SEED,
        "layout_version": layouts.VERSION,
        "version": VERSION,
        "made_with": {name: importlib.metadata.version(name) for name in ("gguf", "numpy")},
        "made_in_s": round(time.perf_counter() - started, 2),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _name(deployment: Deployment) -> str:
    """Folder's name: what it is, and a digest of all that its content follows from."""
    source = deployment.source
    what = [
        layouts.VERSION, VERSION, SEED, layouts.declared(deployment.model.name), source.engine,
        source.quantisation, source.model_file, source.mmproj_file,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    return f"{deployment.model.name}-{source.quantisation}@{source.engine}-{digest}"


def _has_layout(deployment: Deployment) -> bool:
    try:
        layouts.contents(deployment)
    except DeclarationError:
        return False
    return True


def _require_room(root: Path, needed: int, deployment: Deployment) -> None:
    free = shutil.disk_usage(root).free
    if needed + _LEFT_FREE > free:
        raise WeightsUnavailable(
            f"{deployment.identifier}: its weights take {needed / 1e9:.1f} GB and {root} has "
            f"{free / 1e9:.1f} GB free, of which {_LEFT_FREE / 1e9:.0f} GB stay free: remove some "
            "with 'qualify synthetic remove', or set QUALIFY_CACHE to a folder on another disk"
        )
