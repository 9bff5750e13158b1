"""A worker that serves as template: it imports a backend's libraries and forks for each load.

What is forked has asked nothing and loaded nothing: it is a fresh process in all but the imports.
Linux only, and no accelerator: Metal and CUDA do not outlive a fork.

The control channel is a socket of whole messages (``SOCK_SEQPACKET``), each one JSON object. A
request ``{"scratch": FOLDER, "environment": {...}, "imports_log": FILE}`` comes with two files, the
channel and the log of the process to be; the answer is ``{"pid": 1}``. The log of the imports is
copied to the new log. When such a process ends, ``{"pid": 1, "status": 256}`` follows, the status
as ``os.waitpid`` gives it. The end of the channel ends the template, not what it forked.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from qualification.core.backends import BACKENDS
from qualification.core.protocol import CANNOT_FORK

MESSAGE_BYTES = 1 << 18

_COMPUTES_WITHIN_S = 20
"""A sum of four numbers, beside other work."""


def forked(control: socket.socket, scratch: Path, backend: str) -> tuple[socket.socket, Path]:
    """Serve as template; return only in a forked process, with its channel and its folder."""
    try:
        importlib.import_module(BACKENDS[backend].module).import_libraries()
    except BaseException:  # the load itself will say so, as in any other worker
        traceback.print_exc()
    if not _outlives_a_fork(BACKENDS[backend].module):
        os._exit(CANNOT_FORK)
    gc.freeze()  # a collection need not look at the libraries, nor copy their pages
    signals, written = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    while True:
        ready, _, _ = select.select([control.fileno(), signals], [], [])
        if signals in ready:
            os.read(signals, 1 << 12)
            _report_ended(control)
        if control.fileno() not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 2)
        if not message:
            shutil.rmtree(scratch, ignore_errors=True)
            os._exit(0)
        request = json.loads(message)
        # Before the answer: who has the process has the log of its imports.
        os.write(files[1], Path(request["imports_log"]).read_bytes())
        with warnings.catch_warnings():  # threads of a library's pool, which it starts again
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signals, written, control.detach()):
                os.close(number)
            return _become(request, *files)
        for number in files:
            os.close(number)
        with contextlib.suppress(OSError):  # it has done so itself
            os.setpgid(pid, pid)
        control.send(json.dumps({"pid": pid}).encode())


def _outlives_a_fork(name: str) -> bool:
    """Whether a forked process computes; one that waits for a thread that it lost is ended.

    mlx-vlm 0.4.4 computes while it is imported, so MLX's threads have begun, and no fork has them.
    """
    compute = getattr(sys.modules.get(name), "compute", None)
    if compute is None:
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.alarm(_COMPUTES_WITHIN_S)
        with contextlib.suppress(BaseException):  # without the library there is no load either
            compute()
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _report_ended(control: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            # The session may have gone; then nobody waits for the answer.
            with contextlib.suppress(ConnectionError):
                control.send(json.dumps(dict(zip(("pid", "status"), ended, strict=True))).encode())


def _become(request: dict[str, object], channel: int, log: int) -> tuple[socket.socket, Path]:
    """Take the group, the environment, the folder and the log of a worker of its own."""
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    tempfile.tempdir = None
    random.seed()
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    return socket.socket(fileno=channel), Path(str(request["scratch"]))
