"""Finds the files of the weights to load: a local folder, or a snapshot of a hub repository."""

from __future__ import annotations

import fnmatch
import json
from pathlib import Path

from qualification.core.errors import WeightsUnavailable
from qualification.core.protocol import LoadRequest

_CONFIGURATION = ("*.json", "*.model", "*.tiktoken", "*.txt", "*.jinja")


def resolve(request: LoadRequest) -> tuple[Path, str]:
    """The local folder with the weights and its revision ('' for local files).

    Hub weights come from the local cache, and are downloaded only if they are not in it. The parent
    requests this before the load, so that a download is never part of the load time.
    """
    if request.path:
        folder = Path(request.path)
        if not folder.is_dir():
            raise WeightsUnavailable(f"{folder}: no such folder of weights")
        return folder, ""
    for repository in request.also_needs:
        _snapshot(repository, "main", list(_CONFIGURATION))
    if request.model_file:
        patterns = [name for name in (request.model_file, request.mmproj_file) if name]
    else:
        code = ["*.py"] if request.remote_code else []
        patterns = [*_CONFIGURATION, "*.safetensors", *code]
    folder = _snapshot(request.repository, request.revision, patterns)
    return folder, folder.name


def _snapshot(repository: str, revision: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    def take(*, local: bool) -> Path:
        path = snapshot_download(
            repository, revision=revision, allow_patterns=patterns, local_files_only=local
        )
        return Path(path)

    try:
        folder = take(local=True)
        if is_complete(folder, patterns):
            return folder
    except Exception:  # noqa: S110 - not in the cache, for any of the library's many reasons
        pass
    try:
        return take(local=False)
    except Exception as error:
        raise WeightsUnavailable(
            f"{repository}@{revision} is not in the local hub cache and could not be downloaded "
            f"({type(error).__name__}); download it where there is a network: "
            f"hf download {repository} --revision {revision}"
        ) from error


def is_complete(folder: Path, patterns: list[str]) -> bool:
    """Whether a snapshot has all requested files: an interrupted download leaves only a part.

    Each file that is named in full must be there; for safetensors all shards that the index names,
    or one file without shards.
    """
    names = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    exact = [pattern for pattern in patterns if "*" not in pattern]
    if not all(fnmatch.filter(names, pattern) for pattern in exact):
        return False
    if "*.safetensors" not in patterns or "model.safetensors" in names:
        return bool(names)
    indexes = list(folder.glob("*.safetensors.index.json"))
    try:
        shards: set[str] = set()
        for index in indexes:
            shards.update(json.loads(index.read_text())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    if indexes:
        return shards <= set(names)
    return bool(fnmatch.filter(names, "*.safetensors"))


def weight_files(request: LoadRequest, folder: Path) -> list[Path]:
    """The files of weights in the folder that :func:`resolve` gives; the language model first."""
    if request.model_file:
        names = (request.model_file, request.mmproj_file)
        return [folder / name for name in names if name]
    files = folder.glob("*.safetensors")
    return sorted(file for file in files if not file.name.startswith("."))  # macOS: ._model.…


def total_bytes(files: list[Path]) -> int:
    """Bytes of all files together."""
    return sum(file.stat().st_size for file in files)
