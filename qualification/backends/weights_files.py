"""Finds the files of the weights to load: a local folder, or a snapshot of a hub repository."""

from __future__ import annotations

import fnmatch
from pathlib import Path

from qualification.errors import WeightsUnavailable
from qualification.records import LoadRequest


def resolve(request: LoadRequest, patterns: tuple[str, ...]) -> tuple[Path, str]:
    """The local folder with the weights and the revision that it holds ('' for local files).

    Hub weights are taken from the local cache first and downloaded only where that fails; a
    download never counts as load time, because the caller's clock starts afterwards.
    """
    if request.path:
        folder = Path(request.path)
        if not folder.is_dir():
            raise WeightsUnavailable(f"{folder}: no such folder of weights")
        return folder, ""
    from huggingface_hub import snapshot_download

    allow = [pattern for pattern in patterns if pattern]
    try:
        path = snapshot_download(
            request.repository,
            revision=request.revision,
            allow_patterns=allow or None,
            local_files_only=True,
        )
        if not _complete(Path(path), allow):
            raise FileNotFoundError(path)
    except Exception:
        try:
            path = snapshot_download(
                request.repository, revision=request.revision, allow_patterns=allow or None
            )
        except Exception as error:
            raise WeightsUnavailable(
                f"{request.repository}@{request.revision} is not in the local hub cache and "
                f"could not be downloaded ({type(error).__name__}); download it where there is "
                f"a network: hf download {request.repository} --revision {request.revision}"
            ) from error
    return Path(path), Path(path).name


def _complete(folder: Path, patterns: list[str]) -> bool:
    names = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    weights = [name for name in names if name.endswith((".safetensors", ".gguf"))]
    wanted = [pattern for pattern in patterns if pattern.endswith(".gguf")]
    return bool(weights) and all(fnmatch.filter(names, pattern) for pattern in wanted)


def total_bytes(files: list[Path]) -> int:
    """Bytes of all files together."""
    return sum(file.stat().st_size for file in files)
