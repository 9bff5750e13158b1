"""The guard of a server: it starts the server and outlives the process that asked for it.

Run as ``python -I -S guard.py CHANNEL`` in a session of its own; standard library only.

==========  ======================================================================================
CHANNEL     number of an inherited stream socket; JSON objects, one a line, both ways
TMPDIR      the folder ``scratch`` of the order, for guard and server alike
stdout      not used, nor stderr; what the server prints goes to ``folder``/server.log
==========  ======================================================================================

From the parent: first the order ``{"argv": [...], "environment": {...}, "folder": FOLDER,
"scratch": FOLDER, "mark": "NAME=VALUE", "grace_s": 10.0, "parent": PID}``, later ``"stop"`` (end
the server), ``"kill"`` (without the grace) and ``"done"`` (the log has been read: remove ``folder``
and exit; the parent may repeat it, for a guard that took over). To the parent: ``{"pid": N,
"guards": [N, N]}``, or ``{"error": "...", "missing": true}`` where the program (false: the folder)
was refused; and when the server has ended for any reason and none of its processes remains,
``{"exit": CODE}`` (negative: a signal; null: not known).

End of file without ``"done"`` means that the parent died: the server is ended, and ``folder`` and
the parent's ``scratch`` are removed. ``folder`` is made here and not by the parent, so that at
every moment a process exists that will remove it.

The guard is two processes, because it may be killed too. The inner guard starts the server in a
session of the server's own. The outer guard waits for the inner guard, and kills it if it has not
ended some seconds after the parent and the grace. The guard that survives ends the server and
removes the folders. On Linux the kernel ends the server with the inner guard
(``PR_SET_PDEATHSIG``), and descendants that left the server's group become children of the guard
(``PR_SET_CHILD_SUBREAPER``); those and the processes with ``mark`` in their environment are killed.
On other systems only the server's process group is known.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

_LINUX = sys.platform == "linux"
_PDEATHSIG, _CHILD_SUBREAPER = 1, 36  # of <sys/prctl.h>
_STRAYS_S = 5.0
_TOO_LONG_S = 7.0  # after the grace, for an inner guard that hangs
_CHECK_S = 1.0  # between checks that the parent lives: a fork of it may hold its channel open


class _Channel:
    """The parent's messages; ``gone`` once it has died."""

    def __init__(self, number: int) -> None:
        self.socket = socket.socket(fileno=number)
        os.set_inheritable(number, False)
        self.stop = self.kill = self.done = self.gone = False
        self._buffer = b""

    def order(self) -> dict[str, Any] | None:
        """The first line; None if the parent died or cancelled before the line was complete."""
        while b"\n" not in self._buffer and not self.over:
            self.read()
        line, _, self._buffer = self._buffer.partition(b"\n")
        self._take_lines()
        return None if self.over else json.loads(line)

    @property
    def over(self) -> bool:
        """Whether the server is to end."""
        return self.stop or self.kill or self.done or self.gone

    def read(self) -> None:
        """Read what has arrived; blocks until something has."""
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionError:
            piece = b""
        self._buffer += piece
        self._take_lines()
        self.gone = self.gone or not piece

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to a parent that may be gone."""
        with contextlib.suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def _take_lines(self) -> None:
        if self._buffer.startswith(b"{"):  # the order is not complete yet
            return
        *lines, self._buffer = self._buffer.split(b"\n")
        self.stop = self.stop or b'"stop"' in lines
        self.kill = self.kill or b'"kill"' in lines
        self.done = self.done or b'"done"' in lines


class _Guard:
    """What both guards do at the end; ``spared`` are processes that are not the server's."""

    def __init__(self, channel: _Channel, order: dict[str, Any]) -> None:
        self.channel = channel
        self.order = order
        self.spared: set[int] = set()
        self.server = 0
        self.status: int | None = None
        self.wake, wakes = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def reap(self) -> None:
        """Collect children that have ended; ``status`` is the server's, as subprocess has it."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.server:
                self.status = os.waitstatus_to_exitcode(status)

    def signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.server, number)

    def end_strays(self) -> None:
        """Kill the server's remaining processes until none remains, for some seconds at most."""
        if self.server and (self.status is None or not _LINUX):
            self.signal_group(signal.SIGKILL)
        end = time.monotonic() + _STRAYS_S
        while True:
            self.reap()
            strays = (_descendants(os.getpid()) | _marked(self.order["mark"])) - self.spared
            strays -= {os.getpid()}
            # Without /proc no stray is found, and the server must at least have been collected.
            ended = _LINUX or not self.server or self.status is not None
            if (not strays and ended) or time.monotonic() > end:
                return
            # A stray may fork before the signal arrives, so they are listed again after it.
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def remove(self) -> None:
        """Remove the guard's folder, and the parent's if the parent died."""
        shutil.rmtree(self.order["folder"], ignore_errors=True)
        if not self.channel.done:
            shutil.rmtree(self.order["scratch"], ignore_errors=True)


class _Outer(_Guard):
    """Waits for the inner guard, and takes its place if it was killed."""

    def run(self, inner: int) -> int:
        def forward(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(inner, number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, forward)
        if self._await(inner) == 0:
            return 0
        self.end_strays()
        self.channel.send({"exit": None})
        while not (self.channel.done or self.channel.gone):
            ready, _, _ = select.select([self.channel.socket], [], [], _CHECK_S)
            if ready:
                self.channel.read()
            elif not _lives(self.order["parent"]):
                self.channel.gone = True
        self.remove()
        return 0

    def _await(self, inner: int) -> int:
        """The inner guard's exit status; an inner guard that hangs is killed."""
        kill_at: float | None = None
        while True:
            pid, status = os.waitpid(inner, os.WNOHANG)
            if pid:
                return status
            # The inner guard reads the channel, and two readers would take bytes from each other.
            # So the parent's death is seen here by its process id alone, and starts the countdown.
            if kill_at is None and not _lives(self.order["parent"]):
                kill_at = time.monotonic() + self.order["grace_s"] + _TOO_LONG_S
            elif kill_at is not None and time.monotonic() > kill_at:
                os.kill(inner, signal.SIGKILL)  # its status is collected in the next round
            # SIGCHLD writes to the pipe: a child that ends between waitpid and here is not missed.
            select.select([self.wake], [], [], _CHECK_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 1 << 10)


class _Inner(_Guard):
    """Starts the server, and ends it on request, with its parent or with the outer guard."""

    def __init__(self, channel: _Channel, order: dict[str, Any], outer: int, life: int) -> None:
        super().__init__(channel, order)
        self.spared = {outer}
        self._life: int | None = life  # at its end when the outer guard has died
        self._signalled = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note_signal)

    def run(self) -> int:
        os.setsid()
        try:
            log = self._open_log()
        except OSError as error:
            self.channel.send({"error": str(error), "missing": False})
            return self._leave()
        try:
            self._start(log)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.channel.send({"error": str(error), "missing": True})
        else:
            guards = [*self.spared, os.getpid()]
            self.channel.send({"pid": self.server, "guards": guards})
            while self.status is None and not self._over:
                self._wait(_CHECK_S)
            self._end()
            self.channel.send({"exit": self.status})
        return self._leave()

    def _leave(self) -> int:
        while not (self.channel.done or self.channel.gone):
            self._wait(_CHECK_S)
        self.remove()
        return 0

    @property
    def _over(self) -> bool:
        return self._signalled or self._life is None or self.channel.over

    def _open_log(self) -> BinaryIO:
        folder = Path(self.order["folder"])
        folder.mkdir(mode=0o700)
        return (folder / "server.log").open("wb")

    def _start(self, log: BinaryIO) -> None:
        with log:
            process = subprocess.Popen(
                self.order["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.order["environment"],
                start_new_session=True,
                preexec_fn=_tied_to(os.getpid()),
            )
        self.server = process.pid
        process.returncode = 0  # reap() collects the server, with its orphans

    def _end(self) -> None:
        if self.status is None:
            self.signal_group(signal.SIGTERM)
            self.signal_group(signal.SIGCONT)  # a stopped process sees SIGTERM only then
        end = time.monotonic() + self.order["grace_s"]
        while self.status is None and not self.channel.kill and time.monotonic() < end:
            self._wait(min(_CHECK_S, max(0.0, end - time.monotonic())))
        self.end_strays()

    def _wait(self, seconds: float) -> None:
        """Wait for an event, for so many seconds at most."""
        watched: list[Any] = [self.wake]
        watched += [] if self.channel.gone else [self.channel.socket]
        watched += [] if self._life is None else [self._life]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self.wake in ready:
            os.read(self.wake, 1 << 10)
        if self.channel.socket in ready:
            self.channel.read()
        if self._life in ready:
            self._life = None
        if not ready and not _lives(self.order["parent"]):
            self.channel.gone = True
        self.reap()

    def _note_signal(self, _number: int, _frame: object) -> None:
        self._signalled = True


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _tied_to(guard: int) -> Callable[[], None]:
    """What the child runs before it becomes the server: it then dies with the guard."""
    library = ctypes.CDLL(None)  # before the fork, after which nothing may be loaded

    def tie() -> None:
        if _LINUX:
            library.prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != guard:  # the guard died before the call took effect
                os._exit(1)

    return tie


def _lives(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not collected does not."""
    if _LINUX:
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()] if _LINUX else []


def _descendants(pid: int) -> set[int]:
    # As in machine/process_memory.py, which cannot be imported here.
    children: dict[int, list[int]] = {}
    for entry in _processes():
        with contextlib.suppress(OSError):
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(entry.name))
    descendants: set[int] = set()
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        descendants.update(below)
        waiting += below
    return descendants


def _marked(mark: str) -> set[int]:
    """Processes with the mark in their environment; those of other users cannot be read."""
    variable = os.fsencode(mark)
    marked = set()
    for entry in _processes():
        with contextlib.suppress(OSError):
            if variable in (entry / "environ").read_bytes().split(b"\0"):
                marked.add(int(entry.name))
    return marked


def main() -> int:
    """Read the order, become two, and guard."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # the parent's would be the server's too
    channel = _Channel(int(sys.argv[1]))
    order = channel.order()
    if order is None:
        return 0
    outer = os.getpid()
    life, outer_end = os.pipe()
    _prctl(_CHILD_SUBREAPER, 1)
    inner = os.fork()
    if inner == 0:
        code = 1
        try:
            os.close(outer_end)
            _prctl(_CHILD_SUBREAPER, 1)
            code = _Inner(channel, order, outer, life).run()
        finally:
            os._exit(code)
    os.close(life)
    return _Outer(channel, order).run(inner)


if __name__ == "__main__":
    os._exit(main())
