"""The worker: the only process that imports a backend's library.

Started as ``python worker_main.py CHANNEL SCRATCH`` under the interpreter of the environment that
is to be qualified, which need not have this project installed. With a third argument, the name of a
backend, it is a template, from which workers are forked (``template.py``).

==========  ======================================================================================
CHANNEL     number of an inherited socket; requests come and replies go as JSON, one a line
SCRATCH     folder for temporary files (also in TMPDIR); removed by us if the parent has vanished
stdout      not part of the channel: what the libraries print goes to the log, with stderr
==========  ======================================================================================

Request ``{"id": 1, "method": "load", "params": {...}}``; the methods are ``fetch``
(``LoadRequest``, and in ``keys`` the user's variables for the hub -> nothing: the weights are on
this machine), ``load`` (``LoadRequest`` -> ``LoadReport``), ``generate`` (``GenerateRequest`` ->
``Generation``), ``memory`` (nothing -> ``MemoryReport``), ``clean_up`` (nothing: the library's
caches are freed), ``unload`` and ``close`` (nothing -> ``{}``). Reply ``{"id": 1, "ok": {...}}`` or
``{"id": 1, "error": {"kind": "...", "message": "..."}}`` with a kind of ``errors.WORKER_ERRORS``.
Requests are answered in order. End of file without ``close`` means that the parent died: the
worker ends at once, in the middle of any request.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import queue
import shutil
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # sys.path[0] is this folder, where `torch.py` would hide the library.
    _folder = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != _folder]
    _root = _folder.parent
    if "qualification" not in sys.modules:
        _spec = importlib.util.spec_from_file_location(
            "qualification", _root / "__init__.py", submodule_search_locations=[str(_root)]
        )
        assert _spec is not None
        assert _spec.loader is not None
        _package = importlib.util.module_from_spec(_spec)
        sys.modules["qualification"] = _package
        _spec.loader.exec_module(_package)

from qualification import backends
from qualification.backends import template
from qualification.backends.snapshots import resolve
from qualification.core.backends import BACKENDS
from qualification.core.disk import full_disk, has_no_room, is_of_a_full_disk
from qualification.core.errors import WORKER_ERRORS, DiskFull, WorkerError
from qualification.core.libraries import install_command
from qualification.core.protocol import GenerateRequest, LoadRequest, Message, Part, to_json
from qualification.core.text import one_line
from qualification.machine.gpu_memory import DevicePeak
from qualification.machine.process_memory import peak_memory

_NO_MEMORY = ("out of memory", "unable to allocate", "failed to allocate", "cannot allocate memory")


class _Service:
    """Answers requests, one at a time."""

    def __init__(self) -> None:
        self._backend: backends.Backend | None = None
        self._name = ""
        self._device = DevicePeak()

    def fetch(self, params: dict[str, Any]) -> Any:
        keys = {name: key for name, key in params.pop("keys").items() if name not in os.environ}
        request = LoadRequest(**params)
        self._name = request.backend
        os.environ.update(keys)
        try:
            resolve(request)
        finally:
            for name in keys:
                del os.environ[name]
        return {}

    def load(self, params: dict[str, Any]) -> Any:
        request = LoadRequest(**params)
        self._name = request.backend
        backend = backends.create(request)
        report = backend.load(request)
        self._backend = backend
        self._device.sample()
        return to_json(report)

    def generate(self, params: dict[str, Any]) -> Any:
        messages = tuple(
            Message(message["role"], tuple(Part(**part) for part in message["parts"]))
            for message in params.pop("messages")
        )
        if self._backend is None:
            raise RuntimeError("generate was requested before load")
        generation = self._backend.generate(GenerateRequest(messages=messages, **params))
        if isinstance(self._backend, backends.RemoteBackend):
            self._backend.peak_device_bytes()
        else:
            self._device.sample()  # the answer's times are taken already
        return to_json(generation)

    def memory(self, _params: dict[str, Any]) -> Any:
        if isinstance(self._backend, backends.RemoteBackend):
            return to_json(
                dataclasses.replace(
                    self._backend.peak_memory(),
                    peak_device_bytes=self._backend.peak_device_bytes(),
                )
            )
        self._device.sample()
        report = peak_memory()
        details = report.details | (self._backend.memory() if self._backend is not None else {})
        peak = self._device.bytes
        return to_json(dataclasses.replace(report, details=details, peak_device_bytes=peak))

    def clean_up(self, _params: dict[str, Any]) -> Any:
        if self._backend is not None:
            self._backend.clean_up()
        return {}

    def unload(self, _params: dict[str, Any]) -> Any:
        if self._backend is not None:
            self._backend.unload()
        self._backend = None
        return {}

    def close(self, _params: dict[str, Any]) -> Any:
        # Our server ends now, not when its guard notices that we are gone. A library is left alone:
        # what it frees here has crashed after all work was done.
        if isinstance(self._backend, backends.RemoteBackend):
            self._backend.unload()
        return {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request; any exception of the library becomes an error with a kind."""
        try:
            return {"id": request["id"], "ok": getattr(self, request["method"])(request["params"])}
        except BaseException as error:  # a library may raise SystemExit
            with contextlib.suppress(OSError):  # the log's disk may be full
                traceback.print_exc()
            return {"id": request["id"], "error": self._describe(error)}

    def _describe(self, error: BaseException) -> dict[str, str]:
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, DiskFull):
            return {"kind": error.kind, "message": str(error)}
        scratch = Path(os.environ.get("TMPDIR", "."))  # tempfile goes elsewhere if it is full
        if is_of_a_full_disk(error) or has_no_room(scratch):
            message = f"{full_disk(scratch)} ({one_line(text)})"
            return {"kind": DiskFull.kind, "message": message}
        if isinstance(error, WorkerError) and error.kind in WORKER_ERRORS:
            return {"kind": error.kind, "message": str(error)}
        if isinstance(error, ImportError) and self._backend is None:
            spec = BACKENDS.get(self._name)
            library = spec is not None and spec.imports
            hint = f"; install it: {install_command(self._name)}" if library else ""
            return {
                "kind": "backend_unavailable",
                "message": f"backend {self._name} cannot be used here: {text}{hint}",
            }
        lowered = str(error).lower()
        if isinstance(error, MemoryError) or any(words in lowered for words in _NO_MEMORY):
            return {"kind": "out_of_memory", "message": f"no memory was left: {text}"}
        return {"kind": "backend_failed", "message": text}


def main() -> int:
    """Serve until ``close`` or until the parent is gone."""
    channel, scratch = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    os.set_inheritable(channel.fileno(), False)
    if len(sys.argv) > 3:
        channel, scratch = template.forked(channel, scratch, sys.argv[3])
        os.set_inheritable(channel.fileno(), False)
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read, args=(channel, requests, scratch), daemon=True).start()
    service = _Service()
    while True:
        request = requests.get()
        reply = json.dumps(service.answer(request)) + "\n"
        channel.sendall(reply.encode())
        if request["method"] == "close":
            return 0


def _read(channel: socket.socket, requests: queue.Queue[dict[str, Any]], scratch: Path) -> None:
    # A parent that dies with an answer unread resets the channel instead of ending it.
    with contextlib.suppress(ConnectionError), channel.makefile("rb") as lines:
        for line in lines:
            request = json.loads(line)
            requests.put(request)
    shutil.rmtree(scratch, ignore_errors=True)
    if os.getpgrp() == os.getpid():  # processes that the libraries started end with the worker
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    _code = main()
    with contextlib.suppress(OSError):  # the log's disk may be full
        sys.stdout.flush()
        sys.stderr.flush()
    # Libraries' exit handlers have crashed after all work was done, so they are skipped.
    os._exit(_code)
