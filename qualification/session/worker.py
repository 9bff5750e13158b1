"""The parent's side of a worker: start it, ask with a deadline, classify its end, leave nothing.

The worker runs in a process group and a temporary folder of its own. Whatever happens, ``close``
ends the whole process tree and removes the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import TypeAdapter, ValidationError

from qualification.core.child_variables import Use, hub_keys
from qualification.core.disk import full_disk, has_no_room
from qualification.core.errors import (
    WORKER_ERRORS,
    DiskFull,
    InvalidOutput,
    WorkerCrashed,
    WorkerError,
    WorkerOutOfMemory,
    WorkerTimedOut,
)
from qualification.core.format import bytes_text
from qualification.core.protocol import (
    GenerateRequest,
    Generation,
    LoadReport,
    LoadRequest,
    MemoryReport,
    to_json,
)
from qualification.core.text import without_keys
from qualification.core.validation import first_problem
from qualification.machine.process_memory import held_bytes
from qualification.session.child_environment import child_environment
from qualification.session.scratch import make_scratch, remove_scratch
from qualification.session.template import MAIN, ForkedProcess, Template

_POLL_S = 0.2
_MAX_REPLY_BYTES = 64_000_000
_STDERR_TAIL = 4000
_Record = TypeVar("_Record")
_ADAPTERS: dict[type, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (LoadReport, Generation, MemoryReport, dict)
}


class Worker:
    """One child process that holds one deployment.

    ``python`` is the interpreter of the environment to qualify (default: this one).
    ``memory_limit`` in bytes bounds the resident memory of the whole process tree; a worker that
    exceeds it is killed and the request fails as out of memory. ``kernels`` is a folder in which
    workers share what MLX's CPU build compiles (with g++, which takes seconds for each load).
    With a ``template`` the process is forked from it. ``uses`` are those of its variables, beside
    the libraries'; ``environment`` goes over them.
    """

    def __init__(
        self,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        uses: Sequence[Use] = (),
        memory_limit: float | None = None,
        kernels: Path | None = None,
        template: Template | None = None,
    ) -> None:
        self._memory_limit = memory_limit
        self._buffer = bytearray()
        self._requests = 0
        self._closed = False
        self._on_wait: Callable[[], object] | None = None
        self.scratch = make_scratch("worker")
        if kernels is not None:
            (self.scratch / "mlx").symlink_to(kernels)  # MLX writes to $TMPDIR/mlx/<version>/cpu
        self._log_path = self.scratch / "worker.log"
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._oom_kills_before = _oom_kills()
        try:
            with theirs, self._log_path.open("ab") as log:
                variables = child_environment(self.scratch, environment or {}, *uses)
                forked = template and template.fork(self.scratch, theirs, log, variables)
                self._process: subprocess.Popen[bytes] | ForkedProcess = forked or subprocess.Popen(
                    [python, str(MAIN), str(theirs.fileno()), str(self.scratch)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    env=variables,
                )
        except (OSError, ValueError) as error:
            ours.close()
            remove_scratch(self.scratch)
            raise WorkerCrashed(f"{python}: the worker cannot be started: {error}") from error

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def is_forked(self) -> bool:
        """Whether its libraries were imported before it was started."""
        return isinstance(self._process, ForkedProcess)

    @property
    def alive(self) -> bool:
        """Whether the worker can take a request."""
        return not self._closed and self._process.poll() is None

    def log(self) -> str:
        """The text that the libraries printed so far; '' once the worker is closed."""
        try:
            return without_keys(self._log_path.read_text(errors="replace"))
        except OSError:
            return ""

    def fetch(
        self,
        request: LoadRequest,
        *,
        deadline_s: float,
        on_wait: Callable[[], object] | None = None,
    ) -> None:
        """Make sure that the weights are on this machine; a download never counts as loading.

        ``on_wait`` is called several times a second until they are.

        The user's keys for the hub go with this request alone: what runs in the worker later, a
        model's own code or a server, never sees them.
        """
        self._on_wait = on_wait
        try:
            self._ask("fetch", to_json(request) | {"keys": hub_keys()}, deadline_s, dict)
        finally:
            self._on_wait = None

    def load(self, request: LoadRequest, *, deadline_s: float) -> LoadReport:
        """Load a deployment; raises a :class:`WorkerError` that says what went wrong."""
        return self._ask("load", to_json(request), deadline_s, LoadReport)

    def generate(self, request: GenerateRequest, *, deadline_s: float) -> Generation:
        """Answer one request; raises a :class:`WorkerError` that says what went wrong."""
        return self._ask("generate", to_json(request), deadline_s, Generation)

    def memory(self, *, deadline_s: float = 30.0) -> MemoryReport:
        """Lifetime peak memory of the worker so far."""
        return self._ask("memory", {}, deadline_s, MemoryReport)

    def clean_up(self, *, deadline_s: float = 60.0) -> None:
        """Release what the library caches between requests; the weights stay."""
        self._ask("clean_up", {}, deadline_s, dict)

    def unload(self, *, deadline_s: float = 60.0) -> None:
        """Unload the weights; the worker can load again."""
        self._ask("unload", {}, deadline_s, dict)

    def close(self) -> None:
        """End the process tree, politely first, and remove the temporary folder."""
        if self._closed:
            return
        if self._process.poll() is None:
            try:
                self._send("close", {})
                self._process.wait(timeout=2)
            except (OSError, subprocess.TimeoutExpired):
                pass
            finally:
                self._end()
            return
        self._end()

    def _ask(
        self, method: str, params: dict[str, Any], deadline_s: float, kind: type[_Record]
    ) -> _Record:
        if self._closed:
            raise WorkerCrashed(f"the worker has ended already; it cannot take {method}")
        try:
            self._send(method, params)
            reply = self._reply(method, deadline_s)
        except ConnectionError:
            raise self._crash() from None
        except WorkerError:
            raise
        except BaseException:
            # Ctrl-C, or a test's own time-out: the next request must not get this late answer.
            self._end()
            raise
        if "error" in reply:
            error = WORKER_ERRORS.get(reply["error"].get("kind", ""))
            if error is None:
                raise self._invalid(f"an unknown kind of failure {reply['error']!r}")
            raise error(str(reply["error"].get("message", "")), stderr_tail=self._tail())
        try:
            record: _Record = _ADAPTERS[kind].validate_python(reply.get("ok"))
        except ValidationError as error:
            raise self._invalid(first_problem(error, "the reply")) from error
        return record

    def _send(self, method: str, params: dict[str, Any]) -> None:
        self._requests += 1
        line = json.dumps({"id": self._requests, "method": method, "params": params}) + "\n"
        self._channel.sendall(line.encode())

    def _reply(self, method: str, deadline_s: float) -> dict[str, Any]:
        end = time.monotonic() + deadline_s
        chunk = bytes(self._buffer)
        while b"\n" not in chunk:
            remaining_s = end - time.monotonic()
            if remaining_s <= 0:
                tail = self._tail()
                self._end()
                raise WorkerTimedOut(
                    f"{method} took more than its deadline of {deadline_s:g} s; "
                    "the worker was ended",
                    stderr_tail=tail,
                )
            ready, _, _ = select.select([self._channel], [], [], min(remaining_s, _POLL_S))
            if not ready:
                self._check_memory(method)
                if self._on_wait is not None:
                    self._on_wait()
                continue
            try:
                chunk = self._channel.recv(1 << 16)
            except ConnectionError:
                chunk = b""
            if not chunk:
                raise self._crash()
            self._buffer += chunk
            if len(self._buffer) > _MAX_REPLY_BYTES:
                raise self._invalid(f"a reply of more than {_MAX_REPLY_BYTES} bytes")
        line, _, remainder = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(remainder)
        try:
            reply = json.loads(without_keys(line.decode()))
        except ValueError:
            raise self._invalid(f"{line[:80]!r} is not JSON") from None
        if not isinstance(reply, dict) or reply.get("id") != self._requests:
            raise self._invalid(f"{line[:80]!r} does not answer request {self._requests}")
        return reply

    def _check_memory(self, method: str) -> None:
        if self._memory_limit is None:
            return
        used = sum(held_bytes(process.pid) for process in self._tree())
        if used <= self._memory_limit:
            return
        tail = self._tail()
        self._end()
        raise WorkerOutOfMemory(
            f"{method} took {bytes_text(used)}, more than its limit of "
            f"{bytes_text(self._memory_limit)}; the worker was ended",
            stderr_tail=tail,
        )

    def _invalid(self, problem: str) -> InvalidOutput:
        tail = self._tail()
        self._end()
        return InvalidOutput(
            f"the worker's channel carried something other than an answer: {problem}",
            stderr_tail=tail,
        )

    def _crash(self) -> WorkerCrashed | WorkerOutOfMemory | DiskFull:
        """The exception for a worker that ended by itself."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        tail = self._tail()
        full = full_disk(self.scratch) if has_no_room(self.scratch) else None
        self._end()
        if full is not None:
            return DiskFull(f"{full} (the worker has ended)", stderr_tail=tail)
        if code == -signal.SIGKILL and _oom_kills() > self._oom_kills_before:
            return WorkerOutOfMemory(
                "the kernel killed the worker because memory ran out", stderr_tail=tail
            )
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:  # a real-time signal has no name
                name = f"signal {-code}"
            return WorkerCrashed(f"the worker died of {name}", signal=-code, stderr_tail=tail)
        return WorkerCrashed(
            f"the worker ended with exit code {code} instead of an answer",
            exit_code=code,
            stderr_tail=tail,
        )

    def _tail(self) -> str:
        try:
            with self._log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4 * _STDERR_TAIL))
                return log.read().decode(errors="replace")[-_STDERR_TAIL:]
        except OSError:
            return ""

    def _tree(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _strays(self) -> list[psutil.Process]:
        """Descendants that left the group or outlived the worker, recognised by their TMPDIR."""
        strays = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR") == str(self.scratch):
                    strays.append(process)
            except psutil.Error:
                continue
        return strays

    def _end(self) -> None:
        self._closed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        strays = self._strays()
        for process in strays:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(strays, timeout=5)
        self._channel.close()
        remove_scratch(self.scratch)


def _oom_kills() -> int:
    """How often this kernel, or our cgroup, has killed for memory so far; 0 where not counted."""
    count = 0
    for file, key in (("/proc/vmstat", "oom_kill"), ("/sys/fs/cgroup/memory.events", "oom_kill")):
        try:
            text = Path(file).read_text()
        except OSError:
            continue
        for line in text.splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                count += int(value)
    return count
