"""Workers forked from a process that has imported the libraries: no import is repeated.

The worker's side is ``backends/template.py``. Only canaries whose figures do not count (a run under
``-n``, the behaviour that a gate observes) are loaded in this way, on Linux without an accelerator;
see docs/measuring.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from qualification.core.paths import PACKAGE
from qualification.core.protocol import CANNOT_FORK
from qualification.core.results import Machine
from qualification.session.child_environment import child_environment
from qualification.session.scratch import make_scratch, remove_scratch

MAIN = PACKAGE / "backends/worker_main.py"
_START_DEADLINE_S = 600.0
_MESSAGE_BYTES = 1 << 18
_TURN_S = 0.05
"""A thread that waits for the end of its process leaves the socket to another one so often."""


def can_fork(machine: Machine) -> bool:
    """Whether a process with imported libraries may be forked on this machine."""
    return machine.system == "linux" and not machine.accelerators


class Template:
    """One process with a backend's libraries imported, under one interpreter and environment.

    Several threads may fork from it.
    """

    def __init__(self, python: str, backend: str, environment: Mapping[str, str]) -> None:
        self.scratch = make_scratch("template")
        self._log = self.scratch / "template.log"
        self._ended: dict[int, int] = {}
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [python, str(MAIN), str(theirs.fileno()), str(self.scratch), backend],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=child_environment(self.scratch, environment),
            )

    @property
    def pid(self) -> int:
        """Process id of the template."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can fork."""
        return self._process.poll() is None

    @property
    def cannot_fork(self) -> bool:
        """Whether its libraries do not outlive a fork: another template would not fork either."""
        return self._process.poll() == CANNOT_FORK

    def fork(
        self, scratch: Path, channel: socket.socket, log: BinaryIO, environment: Mapping[str, str]
    ) -> ForkedProcess | None:
        """A forked worker that serves ``channel``; None if the template has ended.

        ``log`` begins with what the libraries printed when they were imported.
        """
        request = {
            "scratch": str(scratch),
            "environment": dict(environment),
            "imports_log": str(self._log),
        }
        try:
            files = [channel.fileno(), log.fileno()]
            with self._lock:
                self._control.settimeout(_START_DEADLINE_S)
                socket.send_fds(self._control, [json.dumps(request).encode()], files)
                while (answer := self._answer(_START_DEADLINE_S)) is not None:
                    if "status" not in answer:
                        self._ended.pop(answer["pid"], None)  # of an earlier process
                        return ForkedProcess(self, answer["pid"])
        except OSError:
            pass
        self.close()
        return None

    def status(self, pid: int, timeout: float | None) -> int | None:
        """The status of a forked process that has ended, as waitpid gives it; else None.

        ``timeout`` is in seconds; None waits for the end.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while pid not in self._ended:
            remaining_s = _TURN_S if end is None else max(0.0, end - time.monotonic())
            try:
                with self._lock:
                    answer = self._answer(min(remaining_s, _TURN_S))
            except TimeoutError:
                if end is not None and time.monotonic() >= end:
                    return None
                continue
            if answer is None:  # the template is gone, and its processes go with it
                _kill(pid)
                return int(signal.SIGKILL)
        return self._ended[pid]

    def close(self) -> None:
        """End it, and remove its folder."""
        self._control.close()
        _kill(self._process.pid)
        self._process.wait()
        remove_scratch(self.scratch)

    def _answer(self, timeout: float | None) -> dict[str, Any] | None:
        """The next message; None where the template has ended, TimeoutError without one."""
        try:
            # Python takes a timeout of 0 for a socket that does not block.
            self._control.settimeout(timeout)
            message = self._control.recv(_MESSAGE_BYTES)
        except BlockingIOError as error:
            raise TimeoutError from error
        except (ConnectionError, ValueError):
            return None
        except TimeoutError:
            raise
        except OSError:  # closed
            return None
        if not message:
            return None
        answer: dict[str, Any] = json.loads(message)
        if "status" in answer:
            self._ended[answer["pid"]] = answer["status"]
        return answer


class ForkedProcess:
    """A forked worker with what is used of :class:`subprocess.Popen`."""

    def __init__(self, template: Template, pid: int) -> None:
        self.pid = pid
        self._template = template

    def poll(self) -> int | None:
        """The exit code, minus the signal that ended it; None while it runs."""
        status = self._template.status(self.pid, 0.0)
        return None if status is None else os.waitstatus_to_exitcode(status)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; subprocess.TimeoutExpired after ``timeout`` seconds."""
        status = self._template.status(self.pid, timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("worker", timeout)
        return os.waitstatus_to_exitcode(status)


class Templates:
    """The templates of one run, started when they are first needed."""

    def __init__(self) -> None:
        self._templates: dict[tuple[str, str, tuple[tuple[str, str], ...]], Template] = {}
        self._lock = threading.Lock()

    def of(self, python: str, backend: str, environment: Mapping[str, str]) -> Template | None:
        """The template of a backend; a new one where it has ended; None where it cannot fork."""
        key = (python, backend, tuple(sorted(environment.items())))
        with self._lock:
            template = self._templates.get(key)
            if template is not None and template.cannot_fork:
                return None
            if template is None or not template.alive:
                template = self._templates[key] = Template(python, backend, environment)
            return template

    def close(self) -> None:
        """End all of them."""
        for template in self._templates.values():
            template.close()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
