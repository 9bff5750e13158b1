"""Finds the files of the weights to load: a local folder, or a snapshot of a hub repository."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from qualification.backends.downloading import downloaded
from qualification.core.disk import full_disk, is_of_a_full_disk
from qualification.core.errors import DiskFull, WeightsUnavailable
from qualification.core.hub.failures import cause_of
from qualification.core.hub.files import Part, missing, parts_of
from qualification.core.paths import hub_cache
from qualification.core.protocol import LoadRequest
from qualification.core.weight_files import (
    gguf_parts,
    partial_blobs,
    safetensors_in,
    snapshot_folder,
)


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
    folder = Path()
    for part in parts_of(request):
        folder = _snapshot(part)
    return folder, folder.name


def _snapshot(part: Part) -> Path:
    repository, revision, patterns = part.repository, part.revision, list(part.patterns)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        folder = snapshot_folder(hub_cache(), repository, revision)
        if folder is not None and not missing(folder, patterns):
            return folder
        raise WeightsUnavailable(
            f"{repository}@{revision} is not whole in the local hub cache, and without "
            f"huggingface_hub nothing can be downloaded ({error}); install it: "
            f"{sys.executable} -m pip install huggingface_hub"
        ) from error

    def take(*, local: bool) -> Path:
        path = snapshot_download(
            repository, revision=revision, allow_patterns=patterns, local_files_only=local
        )
        return Path(path)

    whole: Path | None = None
    with contextlib.suppress(Exception):  # not in the cache, for any of the library's many reasons
        folder = take(local=True)
        whole = None if missing(folder, patterns) else folder
    if whole is not None and not partial_blobs(whole.parent.parent):
        return whole
    try:
        folder = downloaded(part, lambda: take(local=False))
    except WeightsUnavailable:
        raise
    except Exception as error:
        if whole is not None:  # what did not end is of another download
            return whole
        raise _not_fetched(error, part) from error
    if lacking := missing(folder, patterns):
        raise WeightsUnavailable(
            f"{repository}@{revision}: {', '.join(lacking)} is not in {folder}, and the hub does "
            "not have it or cannot be reached; correct the name, or download it where there is a "
            f"network: hf download {repository} --revision {revision}"
        )
    return folder


def _not_fetched(error: Exception, part: Part) -> WeightsUnavailable | DiskFull:
    """The exception for a download that failed: what is missing, why, and what to do."""
    subject = f"{part.repository}@{part.revision}"
    if is_of_a_full_disk(error):
        return DiskFull(f"{subject} could not be downloaded: {full_disk(hub_cache())}")
    folder = snapshot_folder(hub_cache(), part.repository, part.revision)
    lacking = missing(folder, part.patterns) if folder is not None else ()
    state = f"lacks {', '.join(lacking)}" if lacking else "is not whole" if folder else "is not"
    cause = cause_of(error, part.repository, part.revision)
    return WeightsUnavailable(f"{subject} {state} in the local hub cache, and {cause}")


def weight_files(request: LoadRequest, folder: Path) -> list[Path]:
    """The files of weights in the folder that :func:`resolve` gives; a projector comes last."""
    if not request.model_file:
        return safetensors_in(folder)
    parts = gguf_parts(folder / request.model_file)
    return [*parts, folder / request.mmproj_file] if request.mmproj_file else [*parts]


def total_bytes(files: list[Path]) -> int:
    """Bytes of all files together."""
    return sum(file.stat().st_size for file in files)
