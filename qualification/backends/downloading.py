"""Downloads a part of a hub repository so that what has come is never fetched again.

huggingface_hub 2.4 continues a file only within one call: when that fails, or when its process is
killed, the next call begins the file anew. So the files of weights (Git LFS) that it would take by
plain HTTP are continued here, in ``<hash>.incomplete`` as releases up to 0.36 name it, and are
compared with the hash by which the hub knows them. Files of chunked storage (Xet) that have not
been begun, and all small files, are left to the library.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from qualification.core.disk import is_of_a_full_disk
from qualification.core.errors import WeightsUnavailable
from qualification.core.format import bytes_text, duration_text
from qualification.core.hub import SAYS
from qualification.core.hub.failures import asked_wait_s, is_final
from qualification.core.hub.files import Part
from qualification.core.paths import hub_cache
from qualification.core.weight_files import leftover_blobs, partials_of, repository_folder

_FILES_AT_ONCE = 4
_MOST_CUTS = 3
_LONGEST_WAIT_S = 300.0
_CHUNK = 1 << 18
"""Bytes at a time; the library's 10 MB are lost with the connection, and nobody sees them come."""


def downloaded(part: Part, take: Callable[[], Path]) -> Path:
    """The snapshot that ``take`` gives, once the files of weights are there.

    A connection that is cut is tried again, three times at most, where something was gained. A hub
    that asks to wait is waited for, five minutes in all.
    """
    folder = repository_folder(hub_cache(), part.repository)
    cuts, waited_s = 0, 0.0
    while True:
        before = _held_bytes(folder)
        try:
            _continue_weights(part, folder)
            snapshot = take()
        except WeightsUnavailable:
            raise
        except Exception as error:
            wait_s = asked_wait_s(error)
            if wait_s is not None and waited_s + wait_s <= _LONGEST_WAIT_S:
                _say(f"the hub asks to wait {duration_text(wait_s)} (429, too many requests)")
                time.sleep(wait_s)
                waited_s += wait_s
                continue
            gained = _held_bytes(folder) - before
            if gained <= 0 or cuts == _MOST_CUTS or is_final(error) or is_of_a_full_disk(error):
                raise
            cuts += 1
            _say(f"the connection was cut; {bytes_text(gained)} have come, trying again")
            continue
        for leftover in leftover_blobs(folder):
            leftover.unlink(missing_ok=True)
        return snapshot


def _say(text: str) -> None:
    print(f"{SAYS}{text}", file=sys.stderr, flush=True)


def _held_bytes(folder: Path) -> int:
    """Bytes of all blobs of a repository, whole or not."""
    total = 0
    for file in folder.glob("blobs/*"):
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total


def _continue_weights(part: Part, folder: Path) -> None:
    """Have the files of weights in the cache that the library would not continue."""
    try:
        commit, files = _weights(part)
    except Exception as error:
        if asked_wait_s(error) is not None:
            raise
        return  # the library meets the same failure, and names it
    ours = [file for file in files if _is_for_us(file, folder / "blobs" / file.lfs.sha256)]
    if not ours:
        return
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        fetches = [pool.submit(_fetch, part, commit, file, folder) for file in ours]
    for fetch in fetches:
        fetch.result()


def _weights(part: Part) -> tuple[str, list[Any]]:
    """The commit of a revision, and its files of Git LFS."""
    from huggingface_hub import HfApi

    api = HfApi()
    commit = str(api.repo_info(part.repository, revision=part.revision).sha)
    files = api.list_repo_tree(part.repository, revision=commit, recursive=True)
    return commit, [
        file for file in files if getattr(file, "lfs", None) is not None and part.takes(file.path)
    ]


def _is_for_us(file: Any, blob: Path) -> bool:
    from huggingface_hub import constants

    if blob.exists():
        return False
    if partials_of(blob):
        return True
    has_chunks = bool(getattr(file, "xet_hash", None))
    is_too_large = file.lfs.size > getattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", float("inf"))
    return not is_too_large and not (has_chunks and _has_xet())


def _has_xet() -> bool:
    from huggingface_hub import constants

    is_off = getattr(constants, "HF_HUB_DISABLE_XET", False)
    return not is_off and importlib.util.find_spec("hf_xet") is not None


def _fetch(part: Part, commit: str, file: Any, folder: Path) -> None:
    """One file of weights, from where it ended; raises what the library raises.

    WeightsUnavailable where the bytes are not those of the hash.
    """
    from huggingface_hub.utils import WeakFileLock

    blob = folder / "blobs" / file.lfs.sha256
    locks = folder.parent / ".locks" / folder.name
    locks.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(locks / f"{blob.name}.lock"):
        if blob.exists():  # another process had the lock
            return
        partial = blob.with_name(f"{blob.name}.incomplete")
        for largest in partials_of(blob)[-1:]:
            largest.replace(partial)
        start = partial.stat().st_size if partial.exists() else 0
        if not _has_come(part, commit, file, partial) and start:
            _has_come(part, commit, file, partial)  # what lay there was of something else
        if not partial.exists():
            raise WeightsUnavailable(
                f"{part.repository}@{part.revision}: what the hub sent for {file.path} is not what "
                f"it announces (SHA-256 {blob.name[:12]}…); a proxy may have changed it: try again"
            )
        partial.replace(blob)


def _has_come(part: Part, commit: str, file: Any, partial: Path) -> bool:
    """Whether the whole file is there and is the hub's; one with another hash is removed."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    size = file.lfs.size
    if partial.exists() and partial.stat().st_size > size:
        partial.unlink()
    with partial.open("ab") as stream:
        http_get(
            hf_hub_url(part.repository, file.path, revision=commit),
            stream,
            resume_size=stream.tell(),
            headers=build_hf_headers(),
            expected_size=size,
            displayed_filename=os.path.basename(file.path),
        )
    if _sha256(partial) == file.lfs.sha256:
        return True
    partial.unlink()
    return False


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
