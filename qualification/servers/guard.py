"""The guard of a server: it starts the server and outlives whoever asked for it.

Run as ``python -I -S guard.py CHANNEL`` in a session of its own; standard library only.

==========  ======================================================================================
CHANNEL     number of an inherited stream socket; JSON objects, one a line, both ways
TMPDIR      the folder ``scratch`` of the order, for guard and server alike
stdout      not used, nor stderr; what the server prints goes to ``own``/server.log
==========  ======================================================================================

From the parent: first the order ``{"argv": [...], "environment": {...}, "own": FOLDER, "scratch":
FOLDER, "mark": "NAME=VALUE", "grace_s": 10.0, "parent": PID}``, later ``"stop"`` (end the server),
``"kill"`` (without the grace) and ``"done"`` (the log has been read: remove ``own`` and leave; it
may be said again, to a guard that took over). To the parent: ``{"pid": N,
"guards": [N, N]}``, or ``{"error": "...", "missing": true}`` where the program (false: the folder)
was refused; and at the end of the server, whatever its cause, when nothing of it is left,
``{"exit": CODE}`` (negative: a signal; null: not known).

End of file without ``"done"`` means that the parent died: the server is ended, and ``own`` and the
parent's ``scratch`` are removed. ``own`` is made here and not by the parent, so that at no moment
there is a folder that nobody would remove.

The guard is two processes, because it may be killed too. The inner one starts the server, in a
session of the server's own; the outer one waits for the inner one, and kills it where it has not
ended some seconds after the parent and the grace. Whichever is left ends the server and removes the
folders. On Linux the kernel ends the server with the inner one
(``PR_SET_PDEATHSIG``), and descendants that left the server's group come to the guard
(``PR_SET_CHILD_SUBREAPER``); those and the bearers of ``mark`` in ``/proc`` are killed. Elsewhere
only the server's process group is known.
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
_LOOK_S = 1.0  # how often the parent is looked for, should another process hold its channel


class _Channel:
    """The parent's words; ``gone`` once it has died."""

    def __init__(self, number: int) -> None:
        self.socket = socket.socket(fileno=number)
        os.set_inheritable(number, False)
        self.stop = self.kill = self.done = self.gone = False
        self._buffer = b""

    def order(self) -> dict[str, Any] | None:
        """The first line; None where the parent died, or thought better of it, before."""
        while b"\n" not in self._buffer and not self.over:
            self.read()
        line, _, self._buffer = self._buffer.partition(b"\n")
        self._take_lines()
        return None if self.over else json.loads(line)

    @property
    def over(self) -> bool:
        """Whether no server is wanted any more."""
        return self.stop or self.kill or self.done or self.gone

    def read(self) -> None:
        """Take what has come; blocks where nothing has."""
        try:
            piece = self.socket.recv(1 << 16)
        except ConnectionError:
            piece = b""
        self._buffer += piece
        self._take_lines()
        self.gone = self.gone or not piece

    def tell(self, message: dict[str, Any]) -> None:
        """Say something to a parent that may not listen any more."""
        with contextlib.suppress(OSError):
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def _take_lines(self) -> None:
        if self._buffer.startswith(b"{"):  # the order is not whole yet
            return
        *lines, self._buffer = self._buffer.split(b"\n")
        self.stop = self.stop or b'"stop"' in lines
        self.kill = self.kill or b'"kill"' in lines
        self.done = self.done or b'"done"' in lines


class _Guard:
    """What both guards do in the end; ``spared`` are the processes that are not the server's."""

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
        """Kill what is left of the server until nothing is, for some seconds at most."""
        if self.server and (self.status is None or not _LINUX):
            self.signal_group(signal.SIGKILL)
        end = time.monotonic() + _STRAYS_S
        while True:
            self.reap()
            found = (_descendants(os.getpid()) | _bearers(self.order["mark"])) - self.spared
            found -= {os.getpid()}
            # Elsewhere nothing is found, and the server must have been collected at least.
            ended = _LINUX or not self.server or self.status is not None
            if (not found and ended) or time.monotonic() > end:
                return
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def remove(self) -> None:
        """Remove the folder of ours, and the parent's if it died."""
        shutil.rmtree(self.order["own"], ignore_errors=True)
        if not self.channel.done:
            shutil.rmtree(self.order["scratch"], ignore_errors=True)


class _Outer(_Guard):
    """Waits for the inner guard, and takes its place if it was killed."""

    def run(self, inner: int) -> int:
        def pass_on(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(inner, number)

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, pass_on)
        if self._await(inner) == 0:
            return 0
        self.end_strays()
        self.channel.tell({"exit": None})
        while not (self.channel.done or self.channel.gone):
            ready, _, _ = select.select([self.channel.socket], [], [], _LOOK_S)
            if ready:
                self.channel.read()
            elif not _lives(self.order["parent"]):
                self.channel.gone = True
        self.remove()
        return 0

    def _await(self, inner: int) -> int:
        """The inner guard's end. It reads the channel; only whether the parent lives is seen."""
        kill_at: float | None = None
        while True:
            pid, status = os.waitpid(inner, os.WNOHANG)
            if pid:
                return status
            if kill_at is None and not _lives(self.order["parent"]):
                kill_at = time.monotonic() + self.order["grace_s"] + _TOO_LONG_S
            elif kill_at is not None and time.monotonic() > kill_at:
                os.kill(inner, signal.SIGKILL)
            select.select([self.wake], [], [], _LOOK_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 1 << 10)


class _Inner(_Guard):
    """Starts the server, and ends it on a word, with its parent or with the outer guard."""

    def __init__(self, channel: _Channel, order: dict[str, Any], outer: int, life: int) -> None:
        super().__init__(channel, order)
        self.spared = {outer}
        self._life: int | None = life  # at its end when the outer guard has died
        self._told = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._be_told)

    def run(self) -> int:
        os.setsid()
        try:
            log = self._open_log()
        except OSError as error:
            self.channel.tell({"error": str(error), "missing": False})
            return self._leave()
        try:
            self._start(log)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.channel.tell({"error": str(error), "missing": True})
        else:
            guards = [*self.spared, os.getpid()]
            self.channel.tell({"pid": self.server, "guards": guards})
            while self.status is None and not self._over:
                self._wait(_LOOK_S)
            self._end()
            self.channel.tell({"exit": self.status})
        return self._leave()

    def _leave(self) -> int:
        while not (self.channel.done or self.channel.gone):
            self._wait(_LOOK_S)
        self.remove()
        return 0

    @property
    def _over(self) -> bool:
        return self._told or self._life is None or self.channel.over

    def _open_log(self) -> BinaryIO:
        own = Path(self.order["own"])
        own.mkdir(mode=0o700)
        return (own / "server.log").open("wb")

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
        process.returncode = 0  # we collect it ourselves, with its orphans

    def _end(self) -> None:
        if self.status is None:
            self.signal_group(signal.SIGTERM)
            self.signal_group(signal.SIGCONT)  # a stopped process sees SIGTERM only then
        end = time.monotonic() + self.order["grace_s"]
        while self.status is None and not self.channel.kill and time.monotonic() < end:
            self._wait(min(_LOOK_S, max(0.0, end - time.monotonic())))
        self.end_strays()

    def _wait(self, seconds: float) -> None:
        """Until something has happened, or some seconds."""
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

    def _be_told(self, _number: int, _frame: object) -> None:
        self._told = True


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _tied_to(guard: int) -> Callable[[], None]:
    """What the child does before it becomes the server: it dies with the guard."""
    library = ctypes.CDLL(None)  # nothing is loaded any more after the fork

    def tie() -> None:
        if _LINUX:
            library.prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != guard:  # it died before the kernel knew
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
    # As in process_memory, which cannot be imported here.
    children: dict[int, list[int]] = {}
    for entry in _processes():
        with contextlib.suppress(OSError):
            parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), []).append(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        some = children.get(waiting.pop(), [])
        found.update(some)
        waiting += some
    return found


def _bearers(mark: str) -> set[int]:
    """Processes with the mark in their environment; those of other users cannot be read."""
    wanted = os.fsencode(mark)
    found = set()
    for entry in _processes():
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def main() -> int:
    """Read the order, become two, and guard."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # the parent's would be the server's too
    channel = _Channel(int(sys.argv[1]))
    order = channel.order()
    if order is None:
        return 0
    outer = os.getpid()
    life, held = os.pipe()
    _prctl(_CHILD_SUBREAPER, 1)
    inner = os.fork()
    if inner == 0:
        code = 1
        try:
            os.close(held)
            _prctl(_CHILD_SUBREAPER, 1)
            code = _Inner(channel, order, outer, life).run()
        finally:
            os._exit(code)
    os.close(life)
    return _Outer(channel, order).run(inner)


if __name__ == "__main__":
    os._exit(main())
