"""The parent's side of ``guard.py``: one server under guard, from the order to the end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from qualification.core.child_variables import child_variables

_GUARD = Path(__file__).with_name("guard.py")
_MARK = "QUALIFY_SERVER"
_MAX_LOG_BYTES = 1_000_000
_AFTER_GRACE_S = 10.0
_LEAVE_S = 8.0
_AGAIN_S = 0.5


class Guarded:
    """``folder`` is made and removed by the guard; its name is the server's mark."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.folder = folder
        self.pid = 0
        self.guards: tuple[int, ...] = ()
        self.refusal = ""
        self.missing = False
        self.ended = False
        self.exit_code: int | None = None
        self.last_log = ""
        self._scratch = scratch
        self._channel, self._theirs = socket.socketpair()
        self._process: subprocess.Popen[bytes] | None = None
        self._buffer = b""
        self._reading = threading.Lock()  # the soak test asks from a thread of its own
        self._abandoned = False  # both guards are gone
        self._reported = False  # a guard has reported that no process remains
        self._swept = self._closed = False

    def start(self, argv: Sequence[str], environment: Mapping[str, str], grace_s: float) -> None:
        """Start the guard and give it the order; ``stop`` must follow, also after an exception."""
        marked = {"TMPDIR": str(self._scratch), _MARK: str(self.folder)}
        order = {
            "argv": list(argv),
            "environment": {**environment, **marked},
            "folder": str(self.folder),
            "scratch": str(self._scratch),
            "mark": f"{_MARK}={self.folder}",
            "grace_s": grace_s,
            "parent": os.getpid(),
        }
        with self._theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(self._theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[self._theirs.fileno()],
                start_new_session=True,
                env={**child_variables(), **marked},
            )
        self._send(order)

    def listen(self, timeout_s: float) -> None:
        """Read the guard's messages, if any arrives within so many seconds."""
        if self._abandoned:
            return
        ready, _, _ = select.select([self._channel], [], [], timeout_s)
        if ready:
            with self._reading:
                self._read()

    def _read(self) -> None:
        try:
            piece = self._channel.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:  # another thread has read it
            return
        except ConnectionError:
            piece = b""
        if not piece:
            self._abandoned = self.ended = True
            return
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def alive(self) -> bool:
        """Whether the server runs; the processes of a server without a guard are ended."""
        if self._closed:
            return False
        self.listen(0)
        if self._abandoned and not self._swept:
            self._end_marked()
        return bool(self.pid) and not self.ended

    def tree(self) -> tuple[int, ...]:
        """The server, first, and its descendants; on Linux also those that left its group."""
        if not self.alive():
            return ()
        below: list[psutil.Process] = []
        for root in (*self.guards, self.pid):  # the next one, if a guard was killed
            with contextlib.suppress(psutil.Error):
                below = psutil.Process(root).children(recursive=True)
                break
        descendants = {process.pid for process in below} - {self.pid, *self.guards}
        return (self.pid, *sorted(descendants))

    def log(self) -> str:
        """The end of what the server printed."""
        try:
            with (self.folder / "server.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _MAX_LOG_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return self.last_log

    def stop(self, grace_s: float) -> None:
        """End server and guards; at the latest some seconds after the grace all are killed."""
        if self._closed:
            return
        try:
            self._send("stop")
            end = time.monotonic() + grace_s + _AFTER_GRACE_S
            # A start that was interrupted before the guard ran has nothing to wait for.
            while self._process and not self.ended and time.monotonic() < end:
                self.listen(_AGAIN_S)  # in short waits, so that Ctrl-C is noticed in between
        finally:  # not only after an error: Ctrl-C may interrupt any of these lines
            try:
                self._leave()
            finally:
                self._clear()

    def _clear(self) -> None:
        """Make sure that no process and no folder remains, with or without a guard."""
        self._closed = True
        try:
            if not (self._abandoned and self._reported):
                self._end_marked()
        finally:
            self._theirs.close()
            self._channel.close()
            if self._process is not None and self._process.wait() != 0:
                # The outer guard was killed: the inner one has closed its files, but may still run.
                self._await_guards()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _leave(self) -> None:
        """Dismiss the guards and wait until both have ended; a server that still runs is killed."""
        self._theirs.close()
        if not self.ended:
            self._send("kill")
        self.last_log = self.log()
        end = time.monotonic() + _LEAVE_S
        while not self._abandoned and time.monotonic() < end:
            self._send("done")  # repeated, in case the guard that read it is killed
            self.listen(_AGAIN_S)

    def _await_guards(self) -> None:
        guards = []
        for pid in self.guards:
            with contextlib.suppress(psutil.NoSuchProcess):
                guards.append(psutil.Process(pid))
        _await_end(guards)

    def _take(self, message: dict[str, Any]) -> None:
        if "pid" in message:
            self.pid, self.guards = message["pid"], tuple(message["guards"])
        elif "error" in message:
            self.refusal, self.missing = message["error"], message["missing"]
            self.ended = self._reported = True
        elif "exit" in message:
            self.exit_code = message["exit"]
            self.ended = self._reported = True

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _end_marked(self) -> None:
        """Kill every process that has the mark, the guards among them."""
        self._swept = True
        killed = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == str(self.folder):
                    process.kill()
                    killed.append(process)
        _await_end(killed)


def _await_end(processes: Sequence[psutil.Process]) -> None:
    """Wait until all have ended, collected by their parent or not."""
    end = time.monotonic() + _LEAVE_S
    while any(map(_runs, processes)) and time.monotonic() < end:
        time.sleep(0.005)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
