"""What is to be downloaded before deployments can be tried: from where, to where, how much.

A plan is made without downloading anything. What lies whole in the hub's cache asks nothing of the
network; sizes of the rest come from the hub's listing, or with ``HF_HUB_OFFLINE`` from the listing
that an earlier download left in the cache.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from qualification.core.declarations import Deployment
from qualification.core.format import bytes_text
from qualification.core.hub.failures import asked_wait_s, cause_of, gave_no_answer
from qualification.core.hub.files import Part, missing, parts_of
from qualification.core.paths import hub_cache
from qualification.core.weight_files import (
    partial_blobs,
    partials_of,
    repository_folder,
    snapshot_folder,
)

SPARE_BYTES = 1_000_000_000
"""Of the free room, what a download leaves for everything else."""

_HUB = "https://huggingface.co"
_TIMEOUT_S = 10.0
_LONGEST_WAIT_S = 60.0
_YES = ("1", "ON", "YES", "TRUE")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository; ``blob`` is its name in the cache's ``blobs``."""

    name: str
    size: int
    blob: str = ""


@dataclass(frozen=True)
class Download:
    """The files of one repository at one revision that the deployments need, there or not.

    ``problem`` is a sentence on why its size, and with it what is missing, is not known.
    ``is_whole``: every file is in the cache. ``may_come``: nobody has refused it so far.
    ``is_offline``: the user wants nothing of the network.
    """

    repository: str
    revision: str
    host: str
    cache: Path
    deployments: tuple[str, ...]
    files: tuple[HubFile, ...] = ()
    commit: str = ""
    problem: str = ""
    is_whole: bool = False
    may_come: bool = True
    is_offline: bool = False

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """Bytes that the cache lacks now; what lies there of a file that is begun counts."""
        return 0 if self.is_whole else sum(map(self._missing_of, self.files))

    @property
    def subject(self) -> str:
        """``owner/name``, and its revision if that is not the usual one."""
        return self.repository + f"@{self.revision}" * (self.revision != "main")

    def _missing_of(self, file: HubFile) -> int:
        place = repository_folder(self.cache, self.repository)
        blob = place / "blobs" / (file.blob or "-")
        if (place / "snapshots" / self.commit / file.name).is_file() or blob.is_file():
            return 0
        begun = 0
        with contextlib.suppress(OSError):  # it comes at this moment
            begun = max((part.stat().st_size for part in partials_of(blob)), default=0)
        return file.size - min(file.size, begun)


def progress(download: Download) -> tuple[int, int]:
    """Bytes that are in the cache now, and bytes in all."""
    return download.total_bytes - download.missing_bytes, download.total_bytes


def needs_hub(deployment: Deployment) -> bool:
    """Whether its weights are declared by a repository of the hub."""
    source = deployment.source
    is_real = source.weights == "hub" and source.server != "url"
    return is_real and bool(source.repository) and not source.path


def plan(
    deployments: Iterable[Deployment], environment: Mapping[str, str] | None = None
) -> tuple[Download, ...]:
    """Every repository that the deployments need, once, in the order of their first use.

    ``environment`` stands for this process's variables. Whatever keeps a repository's size from
    being known is its ``problem``, and stops no other.
    """
    by_repository: dict[tuple[str, Path, str, str], _Needs] = {}
    for deployment in filter(needs_hub, deployments):
        variables = {**(os.environ if environment is None else environment)}
        variables |= deployment.source.environment
        cache = hub_cache(variables)
        endpoint = variables.get("HF_ENDPOINT", "").rstrip("/") or _HUB
        for part in parts_of(deployment.source):
            key = (endpoint, cache, part.repository, part.revision)
            entry = by_repository.setdefault(key, _Needs(endpoint, cache, _is_offline(variables)))
            entry.parts.append(part)
            entry.deployments[deployment.identifier] = None
    unreachable: dict[str, Exception] = {}
    return tuple(_download(entry, unreachable) for entry in by_repository.values())


def without_room(downloads: Sequence[Download]) -> dict[Download, str]:
    """What does not fit on its disk -> a sentence; taken in their order, and what fits goes on.

    Disks are told apart by the folder of the cache.
    """
    refused: dict[Download, str] = {}
    room: dict[Path, int] = {}
    for download in downloads:
        needed = download.missing_bytes
        if not needed:
            continue
        free = room.setdefault(download.cache, free_bytes(download.cache) - SPARE_BYTES)
        if needed <= free:
            room[download.cache] = free - needed
            continue
        refused[download] = (
            f"{download.subject} does not fit on the disk of {download.cache}: "
            f"{bytes_text(needed)} are to be downloaded, and {bytes_text(max(0, free))} are left "
            f"for it ({bytes_text(SPARE_BYTES)} stay free); free some, or name a folder on another "
            "disk: HF_HUB_CACHE"
        )
    return refused


def free_bytes(folder: Path) -> int:
    """Free room on the disk of a folder, which need not be there yet."""
    for place in (folder, *folder.absolute().parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return 0


@dataclass
class _Needs:
    """What all deployments want of one repository."""

    endpoint: str
    cache: Path
    is_offline: bool
    parts: list[Part] = field(default_factory=list)
    deployments: dict[str, None] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        return any(part.takes(name) for part in self.parts)


def _download(needs: _Needs, unreachable: dict[str, Exception]) -> Download:
    """One entry of a plan; ``unreachable`` are hubs that gave no answer, and the sentence."""
    part = needs.parts[0]
    host = urlsplit(needs.endpoint).hostname or needs.endpoint
    deployments = tuple(needs.deployments)
    entry = Download(part.repository, part.revision, host, needs.cache, deployments)
    folder = snapshot_folder(needs.cache, part.repository, part.revision)
    if folder is not None and not any(missing(folder, part.patterns) for part in needs.parts):
        entry = replace(entry, files=_files_in(folder, needs), commit=folder.name, is_whole=True)
        if needs.is_offline or not partial_blobs(folder.parent.parent):
            return entry
        # A file whose download has not ended may be one of its own.
        listed = _listed(replace(entry, is_whole=False), needs, unreachable)
        return entry if listed.problem else listed
    if needs.is_offline:
        return _offline(entry, needs, folder)
    return _listed(entry, needs, unreachable)


def _files_in(folder: Path, needs: _Needs) -> tuple[HubFile, ...]:
    files = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    return tuple(
        HubFile(name, file.stat().st_size)
        for name, file in sorted(files.items())
        if needs.takes(name)
    )


def _offline(entry: Download, needs: _Needs, folder: Path | None) -> Download:
    """Sizes by the listing that huggingface_hub keeps in ``trees``, if it does."""
    files: tuple[HubFile, ...] = ()
    commit = folder.name if folder is not None else entry.revision
    tree = repository_folder(entry.cache, entry.repository) / "trees" / f"{commit}.json"
    try:
        entries = json.loads(tree.read_text(encoding="utf-8"))["files"]
        files = tuple(
            HubFile(name, int(file["size"]), str(file.get("lfs_sha256") or file["blob_id"]))
            for name, file in entries.items()
            if needs.takes(name)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        files = ()
    problem = (
        "with HF_HUB_OFFLINE nothing is downloaded: unset it, or run where there is a network: "
        f"hf download {entry.repository} --revision {entry.revision}"
    )
    return replace(
        entry, files=files, commit=commit, problem=problem, may_come=False, is_offline=True
    )


def _listed(entry: Download, needs: _Needs, unreachable: dict[str, Exception]) -> Download:
    """Sizes by the hub's own listing of the revision."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        return replace(
            entry, problem="its size is not known: huggingface_hub is not installed beside pytest"
        )
    try:
        if needs.endpoint in unreachable:
            raise unreachable[needs.endpoint]
        api = HfApi(endpoint=needs.endpoint)
        commit, files = _patiently(lambda: _listing(api, entry, needs))
    except Exception as error:  # the library's, its client's, or of what the hub sent
        if gave_no_answer(error):
            unreachable[needs.endpoint] = error
        problem = cause_of(error, entry.repository, entry.revision)
        return replace(entry, problem=problem, may_come=asked_wait_s(error) is not None)
    return replace(entry, files=files, commit=commit)


def _listing(api: Any, entry: Download, needs: _Needs) -> tuple[str, tuple[HubFile, ...]]:
    """The commit of the revision and its files; raises where a gated repository is not open."""
    info = api.repo_info(entry.repository, revision=entry.revision, timeout=_TIMEOUT_S)
    tree = api.list_repo_tree(entry.repository, revision=info.sha, recursive=True)
    files = tuple(
        HubFile(file.path, file.size, file.lfs.sha256 if file.lfs else file.blob_id)
        for file in tree
        if hasattr(file, "size") and needs.takes(file.path)
    )
    if getattr(info, "gated", False) and files:  # anybody may list what it holds
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(
            entry.repository, files[0].name, revision=info.sha, endpoint=needs.endpoint
        )
        api.get_hf_file_metadata(url=url, timeout=_TIMEOUT_S)
    return str(info.sha), files


def _patiently(ask: Callable[[], _Answer]) -> _Answer:
    """The answer of a hub that may ask to wait; raises where it asks for more than a minute."""
    waited_s = 0.0
    while True:
        try:
            return ask()
        except Exception as error:
            wait_s = asked_wait_s(error)
            if wait_s is None or waited_s + wait_s > _LONGEST_WAIT_S:
                raise
            waited_s += max(1.0, wait_s)
            time.sleep(wait_s)


def _is_offline(environment: Mapping[str, str]) -> bool:
    """By the library's own rule."""
    value = environment.get("HF_HUB_OFFLINE") or environment.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in _YES
