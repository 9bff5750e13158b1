"""A hub on this machine, as far as huggingface_hub needs one for a download; it fails as asked.

A repository answers by its fault, or by the name of its owner where none is set: ``gated``,
``gone`` (no such revision), ``nowhere`` (no such repository), ``refused`` (wrong credentials),
``closed`` (an error of the hub's own), ``limited`` (the first request of each path is one too many:
429, ``Retry-After: 1``), ``limited for long`` (every request, ``Retry-After: 600``), ``cut`` (half
of each file of weights, as a proxy sends that gives up), ``broken off`` (90 % of it, and nothing
more until the fault is taken away), ``altered`` (other bytes of the same size), and any other word
for one that is whole.

Weights are of Git LFS: their SHA-256 stands in the tree and in ``X-Linked-Etag``, and a redirect
leads to another host, as to the hub's CDN. Chunked storage is not spoken: without ``X-Xet-Hash``
huggingface_hub takes files by HTTP.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_WEIGHTS = (".safetensors", ".gguf")
_COUNT = 1_024_000 - 8 - 100
_HEADER = json.dumps({"a": {"dtype": "U8", "shape": [_COUNT], "data_offsets": [0, _COUNT]}})
WEIGHTS = (100).to_bytes(8, "little") + _HEADER.ljust(100).encode() + b"w" * _COUNT
"""A whole safetensors file of 1.02 MB."""

_REFUSALS = {
    "gone": (404, "RevisionNotFound", "Invalid rev id: main"),
    "nowhere": (404, "RepoNotFound", "Repository not found"),
    "refused": (401, "", "Invalid credentials in Authorization header"),
    "closed": (403, "", "Closed for today"),
}


class _Answers(BaseHTTPRequestHandler):
    """``/api/models/OWNER/NAME/…`` lists a repository, ``/OWNER/NAME/resolve/…`` has its files.

    ``/cdn/OWNER/NAME/FILE`` has the bytes of those that are of Git LFS.
    """

    server: HubStandIn

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_words: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests[f"{self.command} {path}"] += 1
        is_list, is_cdn = path.startswith("/api/models/"), path.startswith("/cdn/")
        words = path.removeprefix("/api/models").removeprefix("/cdn").strip("/").split("/", 4)
        owner, name = words[:2]
        fault = self.server.faults.get(f"{owner}/{name}", owner)
        if fault in _REFUSALS:
            self._refuse(*_REFUSALS[fault])
        elif fault == "limited for long" or (fault == "limited" and self._is_first(path)):
            self._refuse(429, "", "Too many requests", 600 if fault.endswith("long") else 1)
        elif is_cdn:
            self._send(fault, "/".join(words), with_body=with_body)
        elif is_list:
            revision = words[3] if len(words) > 3 else "main"
            is_tree = words[2:3] == ["tree"]
            self._list(f"{owner}/{name}", revision, is_tree=is_tree, is_gated=fault == "gated")
        elif fault == "gated":
            self._refuse(403, "GatedRepo", "Access to this model is restricted")
        else:
            self._resolve(fault, (owner, name, "/".join(words[4:])), words[3], with_body=with_body)

    def _is_first(self, path: str) -> bool:
        return self.server.requests[f"{self.command} {path}"] == 1

    def _list(self, repository: str, revision: str, *, is_tree: bool, is_gated: bool) -> None:
        folder = self.server.folder(repository)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        names = [str(file.relative_to(folder)) for file in files]
        if is_tree:
            entries = [_entry(path, file) for path, file in zip(names, files, strict=True)]
            self._say(json.dumps(entries).encode())
        else:
            commit = self.server.commit(repository, revision)
            siblings = [{"rfilename": path} for path in names]
            info = {"id": repository, "sha": commit, "siblings": siblings}
            self._say(json.dumps(info | {"gated": "manual" if is_gated else False}).encode())

    def _resolve(
        self, fault: str, place: tuple[str, str, str], revision: str, *, with_body: bool
    ) -> None:
        repository, name = f"{place[0]}/{place[1]}", place[2]
        file = self.server.folder(repository) / name
        if not file.is_file():
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        commit = self.server.commit(repository, revision)
        if file.suffix not in _WEIGHTS:
            self._send(fault, f"{repository}/{name}", with_body=with_body, commit=commit)
            return
        self.send_response(302)
        self.send_header("Location", f"{self.server.cdn}/{repository}/{name}")
        self.send_header("X-Linked-Etag", f'"{sha256(file)}"')
        self.send_header("X-Linked-Size", str(file.stat().st_size))
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, fault: str, path: str, *, with_body: bool, commit: str = "") -> None:
        """The bytes of a file, from where the request's range begins."""
        owner, name, place = path.split("/", 2)
        file = self.server.folder(f"{owner}/{name}") / place
        data = file.read_bytes()
        etag = sha256(file) if file.suffix in _WEIGHTS else _git_etag(file)
        if with_body and file.suffix in _WEIGHTS:
            data = {"cut": data[: len(data) // 2], "altered": data[:-64] + bytes(64)}.get(
                fault, data
            )
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        is_broken = fault == "broken off" and with_body and file.suffix in _WEIGHTS
        if is_broken and self.server.broken[path]:
            self._refuse(503, "", "Service unavailable")
            return
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Accept-Ranges", "bytes")
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if not with_body:
            return
        if is_broken:
            self.server.broken[path] += 1
            data = data[: len(data) * 9 // 10]
            self.close_connection = True
        self._write(path, data[start:])

    def _write(self, path: str, data: bytes) -> None:
        """Slowly where the hub is slow: a test can then kill who downloads."""
        step = self.server.bytes_per_s // 20 or len(data) or 1
        for begin in range(0, len(data), step):
            self.wfile.write(data[begin : begin + step])
            self.wfile.flush()
            self.server.sent[path] += len(data[begin : begin + step])
            if self.server.bytes_per_s:
                time.sleep(0.05)

    def _refuse(self, status: int, code: str, message: str, retry_after: int = 0) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code) if code else None
        self.send_header("X-Error-Message", message)
        self.send_header("Retry-After", str(retry_after)) if retry_after else None
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class HubStandIn(ThreadingHTTPServer):
    """Serves folders as repositories: ``OWNER/NAME``, or ``NAME`` for any owner, -> folder.

    ``requests`` counts each method and path, ``sent`` the bytes of each ``OWNER/NAME/FILE``.
    ``faults`` (repository -> fault) and ``bytes_per_s`` (0: no limit) may change at any time.
    """

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories = repositories
        self.faults: dict[str, str] = {}
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.bytes_per_s = 0

    @property
    def address(self) -> str:
        """For ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def cdn(self) -> str:
        """Where weights come from: another host for a client, so it asks the hub for metadata."""
        return f"http://localhost:{self.server_port}/cdn"

    def folder(self, repository: str) -> Path:
        """The files of a repository."""
        by_owner = self.repositories.get(repository)
        return self.repositories[repository.partition("/")[2]] if by_owner is None else by_owner

    def commit(self, repository: str, revision: str) -> str:
        """What a revision resolves to: itself, if it is a commit."""
        if re.fullmatch("[0-9a-f]{40}", revision):
            return revision
        return commit_of(repository) if repository in self.repositories else COMMIT

    def handle_error(self, *_words: object) -> None:
        """A client that was killed in the middle of an answer is no error of ours."""


@contextlib.contextmanager
def hub(repositories: dict[str, Path]) -> Iterator[HubStandIn]:
    """A stand-in that serves until the block ends; what asks it is huggingface_hub."""
    pytest.importorskip("huggingface_hub")
    with HubStandIn(repositories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def commit_of(repository: str) -> str:
    """The commit of a repository that is named with its owner."""
    return hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()


def _entry(path: str, file: Path) -> dict[str, object]:
    """A file of the tree; of Git LFS ``oid`` is the pointer's."""
    entry: dict[str, object] = {"type": "file", "path": path, "size": file.stat().st_size}
    if file.suffix in _WEIGHTS:
        pointer = {"oid": sha256(file), "size": file.stat().st_size, "pointerSize": 134}
        return entry | {"oid": _git_etag(file), "lfs": pointer}
    return entry | {"oid": _git_etag(file)}


def sha256(file: Path) -> str:
    """The hash by which a file of Git LFS is known."""
    return _digest("sha256", file, file.stat().st_mtime_ns)


def _git_etag(file: Path) -> str:
    return _digest("sha1", file, file.stat().st_mtime_ns)


@cache
def _digest(algorithm: str, file: Path, _changed: int) -> str:
    return hashlib.new(algorithm, file.read_bytes(), usedforsecurity=False).hexdigest()


def write_repository(folder: Path) -> Path:
    """Files of a model of 1.02 MB, for a scripted deployment."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    return folder
