"""Start a server of a model, wait until it answers, look at it from outside, leave nothing of it.

The server is started by ``guard.py``, which ends it whatever becomes of this process. It
listens on 127.0.0.1, on a port that is free, and is believed to be ready only when the process
that listens there is one of its own. A stranger on the wished port is named and left alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import httpx2
import psutil

from qualification.core.errors import (
    BackendFailed,
    BackendUnavailable,
    SelectionError,
    WorkerError,
    WorkerTimedOut,
)
from qualification.core.protocol import MemoryReport
from qualification.machine import process_memory
from qualification.machine.gpu_memory import DevicePeak
from qualification.servers import ports as port_owner
from qualification.servers.guard_client import Guarded

_PORTS_TRIED = 3
_TAIL = 4000
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
_PAUSE_SHARE = 0.03
"""Of the time so far: when it got ready is known that well, and the look costs little beside it."""
_HEALTH_S = 2.0
_PREFIX = "qualify-server-"


@dataclass(frozen=True)
class ServerCommand:
    """How to start a server: ``argv`` with ``{port}`` where the port goes.

    ``name`` stands in messages. ``environment`` is laid over this process's own. The server is
    ready when a GET of the path ``health`` is answered with 200.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health"

    def on_port(self, port: int) -> tuple[str, ...]:
        """The arguments with that port in them."""
        return tuple(part.replace("{port}", str(port)) for part in self.argv)


class _PortLost(Exception):
    """Somebody else listens on the port that was free a moment ago."""


class ServerProcess:
    """One server, from start to stop; used once.

    ``scratch`` is a folder that the caller made for this run: the server's temporary folder, and
    removed by the guard, with all in it, if this process dies. Without it there is one of our own,
    which is gone after ``stop`` and, unlike the caller's, at no moment without somebody who would
    remove it. ``deadline_s`` is for getting ready, ``grace_s`` between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        command: ServerCommand,
        *,
        scratch: Path | None = None,
        wished_port: int = 0,
        deadline_s: float = 600.0,
        grace_s: float = 10.0,
    ) -> None:
        """Nothing is started yet. SelectionError for what could not be run safely."""
        if not any("{port}" in part for part in command.argv):
            raise SelectionError(
                f"{command.name}: its command says nowhere which port to listen on; "
                "write {port} where the port goes"
            )
        if not 0 <= wished_port <= 65535:
            raise SelectionError(
                f"{wished_port} is no port; take one from 1 to 65535, or 0 for any"
            )
        if scratch is not None:
            _refuse_shared(scratch)
        self.command = command
        self.port = 0
        self.notes: tuple[str, ...] = ()
        self._scratch = scratch.absolute() if scratch is not None else None
        self._wished_port = wished_port
        self._deadline_s = deadline_s
        self._grace_s = grace_s
        self._guarded: Guarded | None = None
        self._used = False
        self._device = DevicePeak(pids=self.tree)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{port_owner.LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server; 0 before it was started."""
        return self._guarded.pid if self._guarded is not None else 0

    @property
    def guards(self) -> tuple[int, ...]:
        """Process ids of what watches over it."""
        return self._guarded.guards if self._guarded is not None else ()

    @property
    def alive(self) -> bool:
        """Whether it runs. One whose guard was killed is ended by this question."""
        return self._guarded is not None and self._guarded.alive()

    def log(self) -> str:
        """What it printed, the last megabyte of it; after ``stop`` what it had printed by then."""
        return self._guarded.log() if self._guarded is not None else ""

    def tree(self) -> tuple[int, ...]:
        """Process ids of the server, first, and of all that it started; empty once it has ended."""
        return self._guarded.tree() if self._guarded is not None else ()

    def held_bytes(self) -> int:
        """Bytes that the tree holds now (resident; on macOS its footprint); 0 once it has ended."""
        return sum(map(process_memory.held_bytes, self.tree()))

    def look_at_device(self) -> int:
        """Bytes that the NVIDIA driver has given the tree now; the most seen is kept."""
        return self._device.look()

    def peak_memory(self) -> MemoryReport:
        """Lifetime peak of the tree, read from outside; see ``process_memory.peak_memory_of``.

        BackendFailed once the server has ended: the kernel has forgotten the figure then.
        """
        self.look_at_device()
        try:
            report = process_memory.peak_memory_of(self.tree())
        except ProcessLookupError:
            raise self._failed("has ended, so its peak memory cannot be read any more") from None
        return replace(report, peak_device_bytes=self._device.bytes)

    def start(self) -> None:
        """Start it and return when it answers.

        BackendUnavailable: there is no such program. BackendFailed: it ended before it was ready,
        or other processes took its port time and again. WorkerTimedOut: it was not ready in time.
        Whatever is raised, nothing is left.
        """
        if self._used:
            raise SelectionError(f"{self.command.name} was started before; make another one")
        self._used = True
        end = time.monotonic() + self._deadline_s
        self.port = self._first_port()
        for attempt in range(_PORTS_TRIED):
            try:
                self._start_on_port(end)
            except _PortLost:
                self.stop()
                if attempt < _PORTS_TRIED - 1:
                    self.port = self._instead_of(self.port)
            except BaseException:
                self.stop()
                raise
            else:
                return
        raise self._failed(
            f"lost its port to other processes {_PORTS_TRIED} times, the last was {self.port}"
        )

    def stop(self) -> None:
        """End it: SIGTERM, the grace, SIGKILL; then what it started. Asking again is harmless."""
        if self._guarded is not None:
            self._guarded.stop(self._grace_s)

    def _first_port(self) -> int:
        wished = self._wished_port
        if not wished:
            return port_owner.free_port()
        return wished if port_owner.is_free(wished) else self._instead_of(wished)

    def _instead_of(self, taken: int) -> int:
        whose, other = port_owner.owner(taken), port_owner.free_port()
        self.notes += (f"port {taken} is taken by {whose}: {other} is used instead",)
        return other

    def _start_on_port(self, end: float) -> None:
        name = _PREFIX + secrets.token_hex(8)
        own = (self._scratch or Path(tempfile.gettempdir())) / name
        self._guarded = guarded = Guarded(own, self._scratch or own)
        environment = {**os.environ, **self.command.environment}
        guarded.start(self.command.on_port(self.port), environment, self._grace_s)
        self._await_start(guarded, end)
        with httpx2.Client(trust_env=False, timeout=_HEALTH_S) as client:
            self._await_health(guarded, client, end)

    def _await_start(self, guarded: Guarded, end: float) -> None:
        while not guarded.pid:
            if guarded.refusal and not guarded.missing:
                raise self._failed(f"could not be started: {guarded.refusal}")
            if guarded.refusal:
                program = self.command.argv[0]
                raise BackendUnavailable(
                    f"{self.command.name}: the program {program} cannot be started "
                    f"({guarded.refusal}); install it or name its full path"
                )
            if guarded.ended:
                raise self._failed("could not be started: its guard was killed")
            if time.monotonic() > end:
                raise self._timed_out("nothing")
            guarded.listen(_LONGEST_PAUSE_S)

    def _await_health(self, guarded: Guarded, client: httpx2.Client, end: float) -> None:
        started = time.monotonic()
        ours, said = False, "nothing"
        while True:
            pause = max(_SHORTEST_PAUSE_S, _PAUSE_SHARE * (time.monotonic() - started))
            guarded.listen(min(pause, _LONGEST_PAUSE_S))
            if guarded.ended:
                if not port_owner.is_free(self.port):
                    raise _PortLost
                raise self._failed(f"{_left(guarded.exit_code)} before it was ready")
            if time.monotonic() > end:
                raise self._timed_out(said)
            ours = ours or self._is_ours()
            if ours:
                said = _status(client, self.url + self.command.health)
                # Looked again: with SO_REUSEPORT, a stranger can have come since.
                if said == "200" and self._is_ours():
                    return

    def _is_ours(self) -> bool:
        """Whether the server may be asked: it listens, as far as can be known, and alone."""
        tree = self.tree()
        if not port_owner.listening(self.port, tree) and _tells(tree):
            return False
        all_of_them = {pid for pid in port_owner.listeners(self.port) if pid is not None}
        # The tree again, after them: a server may share its socket with children it has just had.
        if all_of_them - set(self.tree()):
            raise _PortLost
        return True

    def _failed(self, what: str) -> BackendFailed:
        return BackendFailed(f"{self.command.name} {what}", stderr_tail=self.log()[-_TAIL:])

    def _timed_out(self, said: str) -> WorkerError:
        return WorkerTimedOut(
            f"{self.command.name} was not ready within its deadline of {self._deadline_s:g} s and "
            f"was ended; its {self.command.health} last answered {said}",
            stderr_tail=self.log()[-_TAIL:],
        )


def _status(client: httpx2.Client, url: str) -> str:
    """The status of a GET in digits, or what went wrong; the body is not read."""
    try:
        with client.stream("GET", url) as response:
            return str(response.status_code)
    except httpx2.HTTPError as error:
        return type(error).__name__


def _tells(pids: tuple[int, ...]) -> bool:
    """Whether this user may see the connections of some process (not of one with more rights)."""
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                psutil.Process(pid).net_connections(kind="tcp")
            except psutil.AccessDenied:
                return False
    return True


def _left(code: int | None) -> str:
    if code is None:
        return "ended"
    if code >= 0:
        return f"left with exit code {code}"
    try:
        return f"died of {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"died of signal {-code}"


def _refuse_shared(scratch: Path) -> None:
    """SelectionError for a folder that was not made for one run: the guard may remove it."""
    try:
        found = scratch.stat()
    except OSError as error:
        raise SelectionError(f"{scratch}: the scratch folder cannot be used: {error}") from error
    real = scratch.resolve()
    kept = [Path.home().resolve(), Path.cwd().resolve()]
    shared = found.st_uid != os.getuid() or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if shared or not stat.S_ISDIR(found.st_mode) or any(real in (p, *p.parents) for p in kept):
        raise SelectionError(
            f"{scratch}: a scratch folder is removed if the run dies, so it must be a folder of "
            "this user only, made for the run; make one with tempfile.mkdtemp"
        )
