"""A hub on this machine, as far as huggingface_hub needs one for a download; it fails as asked.

The owner of a repository says how it answers: ``gated``, ``gone`` (no such revision), ``nowhere``
(no such repository), ``refused`` (wrong credentials), ``cut`` (half of each file of weights),
``closed`` (an error of the hub's own), and any other name for one that is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_REFUSALS = {
    "gone": (404, "RevisionNotFound", "Invalid rev id: main"),
    "nowhere": (404, "RepoNotFound", "Repository not found"),
    "refused": (401, "", "Invalid credentials in Authorization header"),
    "closed": (403, "", "Closed for today"),
}


class _Answers(BaseHTTPRequestHandler):
    """``/api/models/OWNER/NAME/…`` lists a repository, ``/OWNER/NAME/resolve/…`` has its files."""

    server: HubStandIn

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_words: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        is_list = path.startswith("/api/models/")
        owner, name, kind, _, *file = path.removeprefix("/api/models").strip("/").split("/", 4)
        if owner in _REFUSALS:
            self._refuse(*_REFUSALS[owner])
        elif is_list:
            self._list(name, is_tree=kind == "tree")
        elif owner == "gated":
            self._refuse(403, "GatedRepo", "Access to this model is restricted")
        else:
            self._file(owner, self.server.repositories[name] / "/".join(file), with_body=with_body)

    def _list(self, name: str, *, is_tree: bool) -> None:
        folder = self.server.repositories[name]
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        names = [str(file.relative_to(folder)) for file in files]
        if is_tree:
            entries = [
                {"type": "file", "path": path, "size": file.stat().st_size, "oid": _etag(file)}
                for path, file in zip(names, files, strict=True)
            ]
            self._say(json.dumps(entries).encode())
        else:
            siblings = [{"rfilename": path} for path in names]
            self._say(json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())

    def _file(self, owner: str, file: Path, *, with_body: bool) -> None:
        data = file.read_bytes()
        if owner == "cut" and with_body and file.suffix in (".safetensors", ".gguf"):
            data = data[: len(data) // 2]  # as a proxy does that gives up
        self.send_response(200)
        self.send_header("ETag", f'"{_etag(file)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code) if code else None
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class HubStandIn(ThreadingHTTPServer):
    """Serves folders as repositories: name -> folder, whatever the owner."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.repositories = repositories

    @property
    def address(self) -> str:
        """For ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def hub(repositories: dict[str, Path]) -> Iterator[HubStandIn]:
    """A stand-in that serves until the block ends."""
    with HubStandIn(repositories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
