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

_GUARD = Path(__file__).with_name("guard.py")
_MARK = "QUALIFY_SERVER"
_MAX_LOG_BYTES = 1_000_000
_AFTER_GRACE_S = 10.0
_LEAVE_S = 8.0
_AGAIN_S = 0.5


class Guarded:
    """``own`` is the folder that the guard makes and removes; its name is the server's mark."""

    def __init__(self, own: Path, scratch: Path) -> None:
        self.own = own
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
        self._taking = threading.Lock()  # a watch asks from a thread of its own
        self._left = False  # both guards are gone
        self._reported = False  # one of them has said that nothing else is left
        self._swept = self._closed = False

    def start(self, argv: Sequence[str], environment: Mapping[str, str], grace_s: float) -> None:
        """Start the guard and give it the order; ``stop`` must follow, whatever is raised."""
        ours = {"TMPDIR": str(self._scratch), _MARK: str(self.own)}
        order = {
            "argv": list(argv),
            "environment": {**environment, **ours},
            "own": str(self.own),
            "scratch": str(self._scratch),
            "mark": f"{_MARK}={self.own}",
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
                env={**os.environ, **ours},
            )
        self._say(order)

    def listen(self, timeout_s: float) -> None:
        """Take what the guard says, if it says something within some seconds."""
        if self._left:
            return
        ready, _, _ = select.select([self._channel], [], [], timeout_s)
        if ready:
            with self._taking:
                self._take_what_came()

    def _take_what_came(self) -> None:
        try:
            piece = self._channel.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:  # another thread has taken it
            return
        except ConnectionError:
            piece = b""
        if not piece:
            self._left = self.ended = True
            return
        *lines, self._buffer = (self._buffer + piece).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def alive(self) -> bool:
        """Whether the server runs; what is left of one without a guard is ended."""
        if self._closed:
            return False
        self.listen(0)
        if self._left and not self._swept:
            self._end_marked()
        return bool(self.pid) and not self.ended

    def tree(self) -> tuple[int, ...]:
        """The server, first, and its descendants; with those that left it, where that is told."""
        if not self.alive():
            return ()
        below: list[psutil.Process] = []
        for above in (*self.guards, self.pid):  # the next one where one was killed
            with contextlib.suppress(psutil.Error):
                below = psutil.Process(above).children(recursive=True)
                break
        others = {process.pid for process in below} - {self.pid, *self.guards}
        return (self.pid, *sorted(others))

    def log(self) -> str:
        """The end of what the server printed, '' where it is gone."""
        try:
            with (self.own / "server.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _MAX_LOG_BYTES))
                return log.read().decode(errors="replace")
        except OSError:
            return self.last_log

    def stop(self, grace_s: float) -> None:
        """End server and guards; at the latest some seconds after the grace all are killed."""
        if self._closed:
            return
        try:
            self._say("stop")
            end = time.monotonic() + grace_s + _AFTER_GRACE_S
            # Interrupted before it knew of its guard, it has nothing to wait for.
            while self._process and not self.ended and time.monotonic() < end:
                self.listen(_AGAIN_S)  # in pieces, for a Ctrl-C that another thread has taken
        finally:  # and not after an error only: Ctrl-C may come in any of these lines
            try:
                self._leave()
            finally:
                self._clear()

    def _clear(self) -> None:
        """Make sure that nothing is left, with or without a guard."""
        self._closed = True
        try:
            if not (self._left and self._reported):
                self._end_marked()
        finally:
            self._theirs.close()
            self._channel.close()
            if self._process is not None and self._process.wait() != 0:
                # The outer guard was killed: the inner one has closed its files, but may be there.
                self._await_guards()
            shutil.rmtree(self.own, ignore_errors=True)

    def _leave(self) -> None:
        """Let the guards go, and wait until both have; a server that is still there is killed."""
        self._theirs.close()
        if not self.ended:
            self._say("kill")
        self.last_log = self.log()
        end = time.monotonic() + _LEAVE_S
        while not self._left and time.monotonic() < end:
            self._say("done")  # again, should the guard that has heard it be killed
            self.listen(_AGAIN_S)

    def _await_guards(self) -> None:
        found = []
        for pid in self.guards:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        _await_end(found)

    def _take(self, message: dict[str, Any]) -> None:
        if "pid" in message:
            self.pid, self.guards = message["pid"], tuple(message["guards"])
        elif "error" in message:
            self.refusal, self.missing = message["error"], message["missing"]
            self.ended = self._reported = True
        elif "exit" in message:
            self.exit_code = message["exit"]
            self.ended = self._reported = True

    def _say(self, message: object) -> None:
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _end_marked(self) -> None:
        """Kill all that bears the mark, the guards among them."""
        self._swept = True
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(_MARK) == str(self.own):
                    process.kill()
                    found.append(process)
        _await_end(found)


def _await_end(processes: Sequence[psutil.Process]) -> None:
    """Until all have ended; whether somebody collects them is not our business."""
    end = time.monotonic() + _LEAVE_S
    while any(map(_runs, processes)) and time.monotonic() < end:
        time.sleep(0.005)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
