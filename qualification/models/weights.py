"""Checks the files of weights before any library opens them: a damaged file is one clear error.

A truncated safetensors or GGUF makes some libraries abort the process without a word, so headers
are checked here, in the parent (``tensor_headers``). The tensors of weights that are on this
machine already, in a local folder or in the hub's cache, are listed without loading them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from qualification.core.backends import BACKENDS
from qualification.core.declarations import Deployment, Source
from qualification.core.errors import WeightsError
from qualification.core.paths import hub_cache
from qualification.core.protocol import LoadRequest
from qualification.models.tensor_headers import TensorInfo, read_file, read_folder, read_gguf


def load_request(deployment: Deployment, fixtures: Path) -> LoadRequest:
    """The request to load a deployment; local paths are made absolute under ``fixtures``."""
    source = deployment.source
    return LoadRequest(
        backend=source.backend,
        weights=source.weights,
        family=deployment.model.family,
        path=str((fixtures / source.path).resolve()) if source.path else "",
        model_file=source.model_file,
        mmproj_file=source.mmproj_file,
        repository=source.repository,
        revision=source.revision,
        also_needs=source.also_needs,
        remote_code=source.remote_code,
        context=deployment.model.context,
        chat_template=deployment.model.chat_template,
        options=dict(source.options),
        server=source.server,
    )


def check_files(request: LoadRequest) -> None:
    """Raise :class:`WeightsError` unless the local files of ``request`` are whole."""
    if not request.path:
        return
    folder = Path(request.path)
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder of weights; is the checkout complete?")
    if request.model_file:
        files = [folder / request.model_file, folder / request.mmproj_file]
    else:
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise WeightsError(f"{folder}: holds no .safetensors file; is the checkout complete?")
        _check_json(folder / "config.json")
    for file in files:
        check_file(file)


def check_file(file: Path) -> None:
    """Raise :class:`WeightsError` unless one safetensors or GGUF file is whole."""
    if not file.is_file():
        raise WeightsError(f"{file}: no such file of weights; is the checkout complete?")
    read_file(file)


def tensors_here(deployment: Deployment, fixtures: Path) -> tuple[TensorInfo, ...]:
    """Return the tensors of a deployment whose files are on this machine, () where they are not.

    Nothing is downloaded. Raises WeightsError where the files are there but damaged.
    """
    source = deployment.source
    folder: Path | None = fixtures / source.path if source.path else cached_folder(source)
    if folder is None or not folder.is_dir():
        return ()
    if BACKENDS[source.engine].weight_files == "folder":
        present = any(folder.glob("*.safetensors"))
        return read_folder(folder) if present else ()
    model, mmproj = folder / source.model_file, folder / source.mmproj_file
    if not (model.is_file() and mmproj.is_file()):
        return ()
    return read_gguf(model, mmproj)


def cached_folder(source: Source) -> Path | None:
    """Return the snapshot of a hub repository in the local cache, None where there is none.

    The layout is huggingface_hub's: ``models--owner--name/snapshots/<commit>``, with the commit of
    a branch or tag in ``refs/``. https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    if not source.repository:
        return None
    repository = hub_cache() / f"models--{source.repository.replace('/', '--')}"
    commit = source.revision
    # Without a file in refs/ the revision is a commit itself, or was never fetched.
    with contextlib.suppress(OSError, ValueError):
        commit = (repository / "refs" / commit).read_text(encoding="utf-8").strip() or commit
    folder = repository / "snapshots" / commit
    return folder if folder.is_dir() else None


def check_manifest(canaries: Path, folder: Path) -> None:
    """Raise :class:`WeightsError` unless every file of a canary is the one of the manifest."""
    manifest = _check_json(canaries / "manifest.json")
    try:
        entries = manifest["canaries"][folder.name]["files"]
        expected = {str(entry["path"]): entry["sha256"] for entry in entries}
        if not expected:
            raise KeyError("empty")
    except (KeyError, TypeError) as error:
        raise WeightsError(
            f"{canaries / 'manifest.json'}: canaries.{folder.name}.files is missing or malformed "
            f"({error}); make it again with: python -m fixtures.make_canaries {folder.name}"
        ) from error
    for name, digest in expected.items():
        file = folder / name
        if not file.is_file():
            raise WeightsError(f"{file}: is in the manifest but not on disk")
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise WeightsError(
                f"{file}: differs from the manifest; take it from the repository again"
            )


def _check_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: cannot be read as JSON ({error})") from error
