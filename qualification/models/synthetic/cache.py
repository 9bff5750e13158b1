"""The cache of synthetic weights: a folder for each deployment, whole or not there.

A builder works in a draft folder, which is renamed when it is whole. A lock per folder makes the
second of two builders wait for the first and find its work; the next builder removes the draft of
one that died.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qualification.core.backends import ENGINES
from qualification.core.declarations import Deployment
from qualification.core.disk import room_in
from qualification.core.errors import DeclarationError, WeightsError, WeightsUnavailable
from qualification.core.file_lock import locked
from qualification.core.format import bytes_text
from qualification.core.pace import growing
from qualification.core.paths import cache as cache_folder
from qualification.models import layouts
from qualification.models.layouts.safetensors_files import BITS
from qualification.models.synthetic import gguf_file, processor_files, safetensors_file
from qualification.models.synthetic.values import SEED

MANIFEST = "synthetic.json"
VERSION = 1
"""Version of the written files, tensors aside: raised so that the whole cache is made again."""

_RESERVED_BYTES = 1_000_000_000
"""Bytes of the disk that stay free."""


@dataclass(frozen=True)
class Entry:
    """One folder of the cache, by its manifest.

    ``current``: it is the folder that this release of the project would make.
    """

    deployment: str
    folder: Path
    bytes: int
    current: bool


def needed_bytes(deployment: Deployment) -> int:
    """Bytes of all tensors; DeclarationError where the deployment has no layout."""
    files = layouts.contents(deployment).values()
    return sum(tensor.bytes for tensors in files for tensor in tensors)


def ready(
    deployment: Deployment,
    *,
    memory_limit: float = float("inf"),
    say: Callable[[str], object] | None = None,
) -> Path:
    """The folder with the weights of a deployment, made now if it is not there.

    ``memory_limit`` is what this machine can give a model, in bytes; ``say`` gets a line every few
    seconds while they are made. Raises WeightsUnavailable,
    before anything is written, where the weights are larger or the disk is too full, and DiskFull
    where it becomes full while they are made.
    """
    root = cache_folder() / "synthetic"
    name = _name(deployment)
    needed = needed_bytes(deployment)
    if needed > memory_limit:
        raise WeightsUnavailable(
            f"{deployment.identifier}: its weights take {bytes_text(needed)} and this machine "
            f"can give {bytes_text(memory_limit)}, so none were made"
        )
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f".{name}.lock"):
        folder = root / name
        if folder.is_dir():
            return folder
        _remove_drafts(root, name)
        _require_disk(root, needed, deployment)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.draft-", dir=root))
        try:
            label = f"making {deployment.identifier}"
            with room_in(root), growing(draft, label, say, total=needed):
                _make(deployment, draft)
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return folder


def entries(deployments: tuple[Deployment, ...]) -> list[Entry]:
    """The folders of the cache; ``deployments`` are those that this release would make.

    Raises WeightsError where a folder's manifest cannot be read.
    """
    current = {_name(deployment) for deployment in deployments if _has_layout(deployment)}
    cached = []
    for manifest in sorted((cache_folder() / "synthetic").glob(f"[!.]*/{MANIFEST}")):
        folder = manifest.parent
        try:
            name = str(json.loads(manifest.read_text(encoding="utf-8"))["deployment"])
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        except FileNotFoundError:  # another process has removed it at this moment
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{manifest}: cannot be read ({error}); remove its folder"
            ) from error
        cached.append(Entry(name, folder, size, folder.name in current))
    return cached


def remove(entry: Entry) -> None:
    """Remove a folder of the cache; one that is being made is waited for."""
    root, name = entry.folder.parent, entry.folder.name
    with locked(root / f".{name}.lock") as lock:
        _remove_drafts(root, name)
        if entry.folder.is_dir():
            # A removal that is killed leaves a draft, and never a part under the folder's name.
            entry.folder.rename(root / f".{name}.draft-removed")
            _remove_drafts(root, name)
        lock.path.unlink(missing_ok=True)


def _remove_drafts(root: Path, name: str) -> None:
    """Remove what a builder or a removal that died has left; the lock is held."""
    for abandoned in root.glob(f".{name}.draft-*"):
        shutil.rmtree(abandoned)


def _make(deployment: Deployment, folder: Path) -> None:
    started = time.perf_counter()
    source = deployment.source
    declared = layouts.declared(deployment)
    canary = layouts.canary_folder(deployment)
    files = layouts.contents(deployment)
    is_folder = ENGINES[source.engine].weight_files == "folder"
    for name, tensors in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            bits = BITS.get(source.quantisation, 0)
            safetensors_file.write(file, tensors, bits=bits, made_by="mlx" if bits else "pt")
        elif name == source.mmproj_file:
            gguf_file.write_mmproj(file, canary / "gguf/mmproj.gguf", tensors, declared)
        else:
            text_canary, config = canary / "gguf/model.gguf", declared["config.json"]
            gguf_file.write_text_model(file, text_canary, tensors, config, source.quantisation)
    if is_folder:
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
    """Folder name: the deployment, and a digest of everything that its content depends on."""
    source = deployment.source
    inputs = [
        layouts.VERSION,
        VERSION,
        SEED,
        layouts.declared(deployment),
        source.engine,
        source.quantisation,
        source.model_file,
        source.mmproj_file,
    ]
    digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]
    return f"{deployment.model.name}-{source.quantisation}@{source.engine}-{digest}"


def _has_layout(deployment: Deployment) -> bool:
    try:
        layouts.contents(deployment)
    except DeclarationError:
        return False
    return True


def _require_disk(root: Path, needed: int, deployment: Deployment) -> None:
    free = shutil.disk_usage(root).free
    if needed + _RESERVED_BYTES > free:
        raise WeightsUnavailable(
            f"{deployment.identifier}: its weights take {bytes_text(needed)} and {root} has "
            f"{bytes_text(free)} free, of which {bytes_text(_RESERVED_BYTES)} stay free: remove "
            "some with 'qualify synthetic remove', or set QUALIFY_CACHE to a folder on another disk"
        )
