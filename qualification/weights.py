"""Looks at the files of weights before any library does: a damaged file is one clear error.

A truncated safetensors or GGUF makes some libraries abort the process without a word, so headers
are checked here, in the parent, with the formats' own readers.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from qualification.errors import WeightsError
from qualification.records import Deployment, LoadRequest


def load_request(deployment: Deployment, fixtures: Path) -> LoadRequest:
    """What the worker is asked to load; local paths are made absolute under ``fixtures``."""
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
    )


def check_files(request: LoadRequest) -> None:
    """Raise :class:`WeightsError` unless the local files of ``request`` are whole."""
    if not request.path:
        return
    folder = Path(request.path)
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder of weights; is the checkout complete?")
    if request.backend == "llamacpp":
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
    if file.suffix == ".gguf":
        _check_gguf(file)
    else:
        _check_safetensors(file)


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


def _check_safetensors(file: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            tensors.keys()
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{file}: damaged or truncated safetensors file ({error})") from error


def _check_gguf(file: Path) -> None:
    from gguf import GGUFReader

    try:
        GGUFReader(file)
    except Exception as error:  # the reader raises whatever numpy does on a short file
        raise WeightsError(f"{file}: damaged or truncated GGUF file ({error})") from error


def _check_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: cannot be read as JSON ({error})") from error
