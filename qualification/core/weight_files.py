"""Which files are a model's weights, by their names: for the parent and for the worker."""

from __future__ import annotations

import re
from pathlib import Path

from qualification.core.paths import canaries, how_to_restore

_MOST_PARTS = 1000


def gguf_parts(file: Path) -> tuple[Path, ...]:
    """All files of a GGUF in parts as llama.cpp splits it, there or not; else the file itself."""
    match = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})\.gguf", file.name)
    if match is None or not 0 < int(match[2]) <= _MOST_PARTS:
        return (file,)
    count = range(1, int(match[2]) + 1)
    return tuple(file.with_name(f"{match[1]}-{number:05}-of-{match[2]}.gguf") for number in count)


def safetensors_in(folder: Path) -> list[Path]:
    """The safetensors files of a folder; not what macOS puts beside them (``._model.…``)."""
    files = folder.glob("*.safetensors")
    return sorted(file for file in files if not file.name.startswith("."))


def repository_folder(cache: Path, repository: str) -> Path:
    """The folder of a repository in a hub cache, there or not."""
    return cache / f"models--{repository.replace('/', '--')}"


def snapshot_folder(cache: Path, repository: str, revision: str) -> Path | None:
    """The snapshot of a repository in a hub cache, None where there is none.

    The layout is huggingface_hub's: ``models--owner--name/snapshots/<commit>``, with the commit of
    a branch or tag in ``refs/``. https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    place = repository_folder(cache, repository)
    try:
        commit = (place / "refs" / revision).read_text(encoding="utf-8").strip() or revision
    except (OSError, ValueError):
        commit = revision  # it is a commit itself, or was never fetched
    folder = place / "snapshots" / commit
    try:
        return folder if folder.is_dir() else None
    except OSError:  # no folder has such a name, or nobody may look into it
        return None


def partial_blobs(repository: Path) -> list[Path]:
    """The files of a repository's folder in a hub cache whose download has not ended.

    What an earlier attempt left of a file that has come since is none of them.
    """
    partial = sorted(repository.glob("blobs/*.incomplete"))
    return [file for file in partial if not (file.parent / _blob_name(file)).exists()]


def leftover_blobs(repository: Path) -> list[Path]:
    """What earlier attempts left of files that have come since: nobody continues them."""
    partial = sorted(repository.glob("blobs/*.incomplete"))
    return [file for file in partial if (file.parent / _blob_name(file)).exists()]


def partials_of(blob: Path) -> list[Path]:
    """What lies there of a file that is not whole, the largest last.

    huggingface_hub 0.36 writes ``<hash>.incomplete`` and continues it; 2.4 writes
    ``<hash>.<digits>.incomplete`` and leaves that behind when it is killed.
    """
    files = (file for file in blob.parent.glob(f"{blob.name}*.incomplete") if file.is_file())
    return sorted(files, key=lambda file: (file.stat().st_size, file.name))


def _blob_name(partial: Path) -> str:
    return partial.name.partition(".")[0]


def hub_id(repository: Path) -> str:
    """``owner/name`` of a repository's folder in a hub cache, '' for any other folder."""
    owner, _, name = repository.name.removeprefix("models--").partition("--")
    return f"{owner}/{name}" if repository.name.startswith("models--") and name else ""


def absence(file: Path) -> str:
    """How a file that cannot be opened is missing: a cache that was pruned leaves its links."""
    if file.is_symlink():
        return "a link to a file that is gone (was a cache pruned?)"
    return "no such file"


def how_to_fetch_again(file: Path) -> str:
    """What brings back a damaged file of weights, for the end of a sentence."""
    if file.is_relative_to(canaries()):
        return how_to_restore(file)
    for folder in file.parents:
        repository = hub_id(folder.parent.parent)
        if repository and folder.parent.name == "snapshots":
            return (
                f"download it again: hf download {repository} {file.relative_to(folder)} "
                f"--revision {folder.name} --force-download"
            )
    return "download or copy it again"
