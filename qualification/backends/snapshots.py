"""Finds the files of the weights to load: a local folder, or a snapshot of a hub repository."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from qualification.core.disk import full_disk, is_of_a_full_disk
from qualification.core.errors import DiskFull, WeightsUnavailable
from qualification.core.paths import hub_cache
from qualification.core.protocol import LoadRequest
from qualification.core.text import one_line
from qualification.core.weight_files import (
    gguf_parts,
    partial_blobs,
    safetensors_in,
    snapshot_folder,
)

_CONFIGURATION = ("*.json", "*.model", "*.tiktoken", "*.txt", "*.jinja")
_LONGEST_ANSWER = 120


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
        parts = [str(part) for part in gguf_parts(Path(request.model_file))]
        patterns = [*parts, request.mmproj_file] if request.mmproj_file else parts
    else:
        code = ["*.py"] if request.remote_code else []
        patterns = [*_CONFIGURATION, "*.safetensors", *code]
    folder = _snapshot(request.repository, request.revision, patterns)
    return folder, folder.name


def _snapshot(repository: str, revision: str, patterns: list[str]) -> Path:
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
        folder = take(local=False)
    except Exception as error:
        if whole is not None:  # what did not end is of another download
            return whole
        raise _not_fetched(error, repository, revision, patterns) from error
    if lacking := missing(folder, patterns):
        raise WeightsUnavailable(
            f"{repository}@{revision}: {', '.join(lacking)} is not in {folder}, and the hub does "
            "not have it or cannot be reached; correct the name, or download it where there is a "
            f"network: hf download {repository} --revision {revision}"
        )
    return folder


def missing(folder: Path, patterns: list[str]) -> tuple[str, ...]:
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


def _not_fetched(
    error: Exception, repository: str, revision: str, patterns: list[str]
) -> WeightsUnavailable | DiskFull:
    """The exception for a download that failed: what is missing, why, and what to do."""
    subject = f"{repository}@{revision}"
    if is_of_a_full_disk(error):
        return DiskFull(f"{subject} could not be downloaded: {full_disk(hub_cache())}")
    folder = snapshot_folder(hub_cache(), repository, revision)
    lacking = missing(folder, patterns) if folder is not None else ()
    state = f"lacks {', '.join(lacking)}" if lacking else "is not whole" if folder else "is not"
    return WeightsUnavailable(
        f"{subject} {state} in the local hub cache, and {_cause(error, repository, revision)}"
    )


def _cause(error: Exception, repository: str, revision: str) -> str:
    """Why the hub gave nothing, and what to do."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{repository}"
    response = _response(error)
    if isinstance(error, errors.GatedRepoError):
        return f"its repository is gated: ask for access at {page}, then log in with: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the hub has no such revision (any more): declare one of {page}/commits/main"
    if response is not None and response.status_code == 401:
        return (
            "the hub refuses the credentials (401): log in again with hf auth login, or correct "
            f"HF_TOKEN; without a token, look whether {page} exists and is public"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the hub has no such repository for you: correct the name, or log in to {page} with: "
            "hf auth login"
        )
    root = _chain(error)[-1]
    reason = f"{type(root).__name__}: {one_line(root, _LONGEST_ANSWER)}"
    if response is not None:
        reason = f"the hub answers {response.status_code}"
    return (
        f"it could not be downloaded ({reason}); try again where there is a network: "
        f"hf download {repository} --revision {revision}"
    )


def _response(error: BaseException) -> Any:
    """The hub's answer behind an exception, None where it gave none."""
    responses = (getattr(cause, "response", None) for cause in _chain(error))
    return next((response for response in responses if response is not None), None)


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what it was raised from, the first cause last."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes


def weight_files(request: LoadRequest, folder: Path) -> list[Path]:
    """The files of weights in the folder that :func:`resolve` gives; a projector comes last."""
    if not request.model_file:
        return safetensors_in(folder)
    parts = gguf_parts(folder / request.model_file)
    return [*parts, folder / request.mmproj_file] if request.mmproj_file else [*parts]


def total_bytes(files: list[Path]) -> int:
    """Bytes of all files together."""
    return sum(file.stat().st_size for file in files)
