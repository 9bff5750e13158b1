"""Checks the files of weights before any library opens them: a damaged file is one clear error.

A truncated safetensors or GGUF makes some libraries abort the process without a word, so headers
are checked here, in the parent (``tensor_headers``). The tensors of weights that are on this
machine already, in a local folder or in the hub's cache, are listed without loading them.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from qualification.core.backends import BACKENDS, ENGINES, outside_module
from qualification.core.declarations import Deployment, Source
from qualification.core.errors import QualificationError, WeightsError, WeightsUnavailable
from qualification.core.paths import how_to_restore, hub_cache
from qualification.core.protocol import LoadRequest
from qualification.core.weight_files import (
    absence,
    gguf_parts,
    how_to_fetch_again,
    safetensors_in,
    snapshot_folder,
)
from qualification.models.chat_templates import refuse_template, templates_in
from qualification.models.decoding import decode_bytes
from qualification.models.named_code import refuse_code
from qualification.models.tensor_headers import (
    TensorInfo,
    read_file,
    read_folder,
    read_keys,
    refuse_substitute,
)

_SIDE_FILES = (
    *("config.json", "generation_config.json", "preprocessor_config.json"),
    *("processor_config.json", "video_preprocessor_config.json", "chat_template.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "tokenizer.model", "chat_template.jinja"),
)
"""What the libraries read beside the weights, where it is there."""


def load_request(deployment: Deployment) -> LoadRequest:
    """The request to load a deployment as it is declared."""
    source = deployment.source
    module, package_file = outside_module(source.backend)
    return LoadRequest(
        backend=source.backend,
        weights=source.weights,
        family=deployment.model.family,
        path=source.path,
        model_file=_first_part(source.model_file),
        mmproj_file=source.mmproj_file,
        repository=source.repository,
        revision=source.revision,
        also_needs=source.also_needs,
        remote_code=source.remote_code,
        context=deployment.model.context,
        chat_template=deployment.model.chat_template,
        options=dict(source.options),
        server=source.server,
        module=module,
        package_file=package_file,
    )


def _first_part(model_file: str) -> str:
    """The part of a GGUF in parts that a library takes, whichever is named."""
    return str(gguf_parts(Path(model_file))[0]) if model_file else ""


def check_files(request: LoadRequest) -> None:
    """Raise unless the local files of ``request`` are whole.

    WeightsError for a damaged file and for a canary that is not there, WeightsUnavailable for other
    weights that are not there.
    """
    if not request.path:
        return
    folder = Path(request.path)
    if request.model_file:
        for name in filter(None, (request.model_file, request.mmproj_file)):
            for file in gguf_parts(folder / name):
                if not file.is_file():
                    raise _absent(request, file, absence(file))
                read_file(file)
        if request.weights != "canary":
            template = read_keys(folder / request.model_file).get("tokenizer.chat_template")
            refuse_template(folder / request.model_file, str(template or ""))
    elif not folder.is_dir():
        raise _absent(request, folder, "no such folder of weights")
    elif request.backend in BACKENDS and BACKENDS[request.backend].weight_files == "other":
        return
    elif safetensors_in(folder):
        if request.weights != "canary":
            _check_side_files(folder)
        if not request.remote_code:
            refuse_code(folder)
        if request.weights != "canary":
            _refuse_templates(folder)
        read_folder(folder)
        _check_json(folder / "config.json")
    else:
        raise _absent(request, folder, "holds no .safetensors file")


def check_fetched(request: LoadRequest, source: Source) -> None:
    """Raise WeightsError where files in the hub's local cache are damaged or name code."""
    folder = cached_folder(source)
    if folder is None:
        return
    if request.backend not in BACKENDS or BACKENDS[request.backend].weight_files != "other":
        check_files(replace(request, path=str(folder)))
    elif not source.model_file and not source.remote_code:
        refuse_code(folder)
        _refuse_templates(folder)


def _check_side_files(folder: Path) -> None:
    for name in _SIDE_FILES:
        file = folder / name
        if file.is_symlink() or file.is_file():
            refuse_substitute(file)
            if file.suffix == ".json":
                _check_json(file)


def _refuse_templates(folder: Path) -> None:
    for file, template in templates_in(folder).items():
        refuse_template(file, template)


def _absent(request: LoadRequest, place: Path, problem: str) -> QualificationError:
    """A canary belongs to the project, any other weights to this machine."""
    error = WeightsError if request.weights == "canary" else WeightsUnavailable
    return error(f"{place}: {problem}; {how_to_restore(place)}")


def tensors_here(deployment: Deployment) -> tuple[TensorInfo, ...]:
    """Return the tensors of a deployment whose files are on this machine, () where they are not.

    Nothing is downloaded. Raises WeightsError where the files are there but damaged.
    """
    source = deployment.source
    folder = Path(source.path) if source.path else cached_folder(source)
    if folder is None or not folder.is_dir():
        return ()
    if ENGINES[source.engine].weight_files == "folder":
        if source.model_file:  # a GGUF for transformers, which turns the weights into float32
            return ()
        present = safetensors_in(folder)
        return read_folder(folder) if present else ()
    if ENGINES[source.engine].weight_files == "other":
        return ()
    names = filter(None, (source.model_file, source.mmproj_file))
    files = [file for name in names for file in gguf_parts(folder / name)]
    if not all(file.is_file() for file in files):
        return ()
    return tuple(tensor for file in files for tensor in read_file(file))


def decode_bytes_here(deployment: Deployment, request: LoadRequest) -> int:
    """Bytes of weights that decoding a token reads, by the headers of the files that were loaded.

    0 where that is not certain, and for a canary, which is too small for the figure to mean
    anything.
    """
    source = deployment.source
    if source.weights == "canary":
        return 0
    loaded = replace(deployment, source=replace(source, path=request.path))
    try:
        return decode_bytes(tensors_here(loaded), source.options)
    except WeightsError:  # the library has loaded a format that is not known here
        return 0


def cached_folder(source: Source) -> Path | None:
    """Return the snapshot of a hub repository in the local cache, None where there is none."""
    if not source.repository:
        return None
    cache = hub_cache({**os.environ, **source.environment})
    return snapshot_folder(cache, source.repository, source.revision)


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
            f"({error}); {how_to_restore(folder)}"
        ) from error
    for name, digest in expected.items():
        file = folder / name
        if not file.is_file():
            raise WeightsError(
                f"{file}: is in the manifest but not on disk; {how_to_restore(file)}"
            )
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise WeightsError(f"{file}: differs from the manifest; {how_to_restore(file)}")


def _check_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{file}: cannot be read as JSON ({error}); {how_to_fetch_again(file)}"
        ) from error
