"""Start a server of a model, wait until it answers, observe it from outside, leave nothing behind.

The server is started by ``guard.py``, which ends it however this process ends. It listens on
127.0.0.1, on a free port, and counts as ready only when the process that listens there is one of
its own. Another process on the requested port is named and left alone.
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

import httpx2
import psutil

from qualification.core.child_variables import child_variables
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
from qualification.servers import ports
from qualification.servers.client import http_options
from qualification.servers.guard_client import Guarded

_PORTS_TRIED = 3
_TAIL = 4000
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.5
_PAUSE_SHARE = 0.03
"""Poll interval as a share of the elapsed time; bounds the error of the ready time to 3 %."""
_HEALTH_S = 2.0
_PREFIX = "qualify-server-"


@dataclass(frozen=True)
class ServerCommand:
    """How to start a server: ``argv`` with ``{port}`` where the port goes.

    ``name`` appears in messages. ``environment`` goes over the variables that libraries need. The
    server is ready when a GET of the path ``health`` is answered with 200.
    """

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    health: str = "/health"

    def on_port(self, port: int) -> tuple[str, ...]:
        """The arguments with that port in them."""
        return tuple(part.replace("{port}", str(port)) for part in self.argv)


class _PortLost(Exception):
    """Another process listens on the port that was free a moment ago."""


class ServerProcess:
    """One server, from start to stop; used once.

    ``scratch`` is a folder that the caller made for this run. It is the server's temporary folder;
    if this process dies, the guard removes it with its content. Without ``scratch`` the guard makes
    a folder and ``stop`` removes it. ``deadline_s`` is the time to get ready, ``grace_s`` the time
    between SIGTERM and SIGKILL.
    """

    def __init__(
        self,
        command: ServerCommand,
        *,
        scratch: Path | None = None,
        requested_port: int = 0,
        deadline_s: float = 600.0,
        grace_s: float = 10.0,
    ) -> None:
        """Start nothing yet. Raises SelectionError for settings that could not be run safely."""
        if not any("{port}" in part for part in command.argv):
            raise SelectionError(
                f"{command.name}: its command says nowhere which port to listen on; "
                "write {port} where the port goes"
            )
        if not 0 <= requested_port <= 65535:
            raise SelectionError(
                f"{requested_port} is no port; take one from 1 to 65535, or 0 for any"
            )
        if scratch is not None:
            _refuse_shared(scratch)
        self.command = command
        self.port = 0
        self.notes: tuple[str, ...] = ()
        self._scratch = scratch.absolute() if scratch is not None else None
        self._requested_port = requested_port
        self._deadline_s = deadline_s
        self._grace_s = grace_s
        self._guarded: Guarded | None = None
        self._used = False
        self._device = DevicePeak(pids=self.tree)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{ports.LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the server; 0 before it was started."""
        return self._guarded.pid if self._guarded is not None else 0

    @property
    def guards(self) -> tuple[int, ...]:
        """Process ids of its two guards."""
        return self._guarded.guards if self._guarded is not None else ()

    @property
    def alive(self) -> bool:
        """Whether it runs. A server whose guards were killed is ended by this call."""
        return self._guarded is not None and self._guarded.alive()

    def log(self) -> str:
        """The last megabyte of what it printed, also after ``stop``."""
        return self._guarded.log() if self._guarded is not None else ""

    def tree(self) -> tuple[int, ...]:
        """Process ids of the server, first, and of its descendants; empty once it has ended."""
        return self._guarded.tree() if self._guarded is not None else ()

    def held_bytes(self) -> int:
        """Bytes that its processes hold now (macOS: footprint, else resident); 0 once it ended."""
        return sum(map(process_memory.held_bytes, self.tree()))

    def sample_device(self) -> int:
        """Bytes that the NVIDIA driver has given its processes now; the maximum is remembered."""
        return self._device.sample()

    def peak_memory(self) -> MemoryReport:
        """Lifetime peak of its processes, read from outside; see ``process_memory.peak_memory_of``.

        BackendFailed once the server has ended: the kernel no longer has the figure then.
        """
        self.sample_device()
        try:
            report = process_memory.peak_memory_of(self.tree())
        except ProcessLookupError:
            raise self._failed("has ended, so its peak memory cannot be read any more") from None
        return replace(report, peak_device_bytes=self._device.bytes)

    def start(self) -> None:
        """Start it and return when it answers.

        BackendUnavailable: there is no such program. BackendFailed: it ended before it was ready,
        or other processes took its port repeatedly. WorkerTimedOut: it was not ready in time.
        After any exception no process and no folder remains.
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
        """End it: SIGTERM, the grace, SIGKILL, then its descendants. A second call does nothing."""
        if self._guarded is not None:
            self._guarded.stop(self._grace_s)

    def _first_port(self) -> int:
        requested = self._requested_port
        if not requested:
            return ports.free_port()
        return requested if ports.is_free(requested) else self._instead_of(requested)

    def _instead_of(self, occupied: int) -> int:
        owner, free = ports.owner(occupied), ports.free_port()
        self.notes += (f"port {occupied} is taken by {owner}: {free} is used instead",)
        return free

    def _start_on_port(self, end: float) -> None:
        name = _PREFIX + secrets.token_hex(8)
        folder = (self._scratch or Path(tempfile.gettempdir())) / name
        self._guarded = guarded = Guarded(folder, self._scratch or folder)
        environment = {**child_variables("library"), **self.command.environment}
        guarded.start(self.command.on_port(self.port), environment, self._grace_s)
        self._await_start(guarded, end)
        with httpx2.Client(**http_options(self.url, _HEALTH_S)) as client:
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
        ours, answer = False, "nothing"
        while True:
            pause = max(_SHORTEST_PAUSE_S, _PAUSE_SHARE * (time.monotonic() - started))
            guarded.listen(min(pause, _LONGEST_PAUSE_S))
            if guarded.ended:
                if not ports.is_free(self.port):
                    raise _PortLost
                raise self._failed(f"{_end_text(guarded.exit_code)} before it was ready")
            if time.monotonic() > end:
                raise self._timed_out(answer)
            ours = ours or self._is_ours()
            if ours:
                answer = _status(client, self.url + self.command.health)
                # Checked again: with SO_REUSEPORT another process may have joined since.
                if answer == "200" and self._is_ours():
                    return

    def _is_ours(self) -> bool:
        """Whether the server may be asked: it listens, as far as can be known, and alone."""
        tree = self.tree()
        if not ports.listening(self.port, tree) and _can_see(tree):
            return False
        listeners = {pid for pid in ports.listeners(self.port) if pid is not None}
        # The tree is read again, after the listeners: the server may have shared its socket with a
        # child that it has just started.
        if listeners - set(self.tree()):
            raise _PortLost
        return True

    def _failed(self, outcome: str) -> BackendFailed:
        return BackendFailed(f"{self.command.name} {outcome}", stderr_tail=self.log()[-_TAIL:])

    def _timed_out(self, answer: str) -> WorkerError:
        return WorkerTimedOut(
            f"{self.command.name} was not ready within its deadline of {self._deadline_s:g} s and "
            f"was ended; its {self.command.health} last answered {answer}",
            stderr_tail=self.log()[-_TAIL:],
        )


def _status(client: httpx2.Client, url: str) -> str:
    """The status of a GET in digits, or what went wrong; the body is not read."""
    try:
        with client.stream("GET", url) as response:
            return str(response.status_code)
    except httpx2.HTTPError as error:
        return type(error).__name__


def _can_see(pids: tuple[int, ...]) -> bool:
    """Whether this user may see the processes' connections (not of one with more rights)."""
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                psutil.Process(pid).net_connections(kind="tcp")
            except psutil.AccessDenied:
                return False
    return True


def _end_text(code: int | None) -> str:
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
        status = scratch.stat()
    except OSError as error:
        raise SelectionError(f"{scratch}: the scratch folder cannot be used: {error}") from error
    real = scratch.resolve()
    protected = [Path.home().resolve(), Path.cwd().resolve()]
    shared = status.st_uid != os.getuid() or bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if (
        shared
        or not stat.S_ISDIR(status.st_mode)
        or any(real in (folder, *folder.parents) for folder in protected)
    ):
        raise SelectionError(
            f"{scratch}: a scratch folder is removed if the run dies, so it must be a folder of "
            "this user only, made for the run; make one with tempfile.mkdtemp"
        )
