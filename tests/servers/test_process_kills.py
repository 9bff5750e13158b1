"""However the parent of a server ends, no process, port or file of the server remains."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.servers import cycles as server_cycles
from qualification.core.paths import PACKAGE
from qualification.servers import ports

ROOT = PACKAGE.parent
TOY = PACKAGE.parent / "tests/support/toy_server.py"
ALLOWED_S = 20

PARENT = """
import os, sys, tempfile, threading, time
from pathlib import Path
sys.path.insert(0, {root!r})
from qualification.servers.process import ServerCommand, ServerProcess
argv = (sys.executable, "-S", {toy!r}, "--port", "{{port}}", *{options!r})
scratch = Path(tempfile.mkdtemp())
(scratch / "of the caller").touch()
server = ServerProcess(ServerCommand("toy", argv), scratch=scratch, grace_s=2)

def report():
    while not (server.pid if {starting!r} else server.alive and ready):
        time.sleep(0.01)
    print(server.pid, server.port, flush=True)
    {then}

ready = False
threading.Thread(target=report, daemon=True).start()
server.start()
ready = True
time.sleep(60)
"""


def parent_of(base, *options, starting=False, then="pass"):
    """A process with a server, in a temporary folder of its own: it, the server, the port."""
    code = PARENT.format(
        root=str(ROOT), toy=str(TOY), options=options, starting=starting, then=then
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(base)},
    )
    server, port = map(int, process.stdout.readline().split())
    return process, server, port


def remains_of(base, port):
    """Its remaining files, processes and port; returns early once there are none."""
    end = time.monotonic() + ALLOWED_S
    while True:
        remains = [entry.name for entry in base.iterdir()]
        for process in psutil.process_iter():
            try:
                if process.environ().get("TMPDIR", "").startswith(str(base)):
                    remains.append(process.cmdline())
            except psutil.Error:
                continue
        remains += [] if ports.is_free(port) else [ports.owner(port)]
        if not remains or time.monotonic() > end:
            return remains
        time.sleep(0.05)


@pytest.fixture
def base():
    """A temporary folder for the parent."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.parametrize("state", ["starting", "running"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, "crash"])
def test_a_parent_that_ends_takes_its_server_with_it(base, state, how):
    """Killed, ended or crashed; its scratch folder is removed too, as the parent cannot do it."""
    starting = state == "starting"
    options = ("--grandchild", "session", *(["--never-ready"] if starting else []))
    then = "os._exit(7)" if how == "crash" else "pass"
    process, _, port = parent_of(base, *options, starting=starting, then=then)
    with process:
        if how != "crash":
            process.send_signal(how)
        process.wait(timeout=20)
    assert remains_of(base, port) == []


def test_a_server_that_ignores_sigterm_does_not_outlive_its_parent(base):
    """The grace, then SIGKILL, although no parent asks for it."""
    process, server, port = parent_of(base, "--ignore-sigterm")
    with process:
        process.kill()
    assert remains_of(base, port) == []
    assert not psutil.pid_exists(server) or psutil.Process(server).status() == "zombie"


@pytest.mark.skipif(sys.platform != "linux", reason="an unseen end of the parent: /proc only")
def test_a_channel_that_another_process_holds_open_does_not_hide_the_end(base):
    """A fork of the parent keeps its files open; the guard checks the parent itself."""
    # The fork keeps them open, even as another program (which the guard has no reason to end).
    then = "[os.set_inheritable(n, True) for n in map(int, os.listdir('/proc/self/fd')) " + (
        "if os.path.exists(f'/proc/self/fd/{n}')]; child = os.fork(); "
        "child or os.execve('/bin/sleep', ['sleep', '60'], {}); print(child, flush=True)"
    )
    process, _, port = parent_of(base, then=then)
    with process:
        child = int(process.stdout.readline())
        process.kill()
        process.stdout.close()
        process.wait(timeout=20)
    try:
        assert remains_of(base, port) == []
        assert psutil.pid_exists(child)
    finally:
        psutil.Process(child).kill()


@pytest.mark.slow
def test_an_inner_guard_that_hangs_is_killed_by_the_outer_guard(base):
    """It was stopped, or waits for a child that was stopped before it became the server."""
    process, server, port = parent_of(base)
    with process:
        psutil.Process(server).parent().suspend()
        process.kill()
    assert remains_of(base, port) == []


def cycles(count, seed):
    """Cycles of the benchmark with the stand-in; what they left behind."""
    reports = []
    argv = server_cycles.TOY.split()
    rows = server_cycles.run(argv, count, seed, reports.append, server_cycles.TOY_WAYS)
    assert sum(row.cycles for row in rows.values()) == count
    return reports


@pytest.mark.slow
def test_some_starts_and_stops_with_kills_leave_nothing():
    """Each kind of kill about once."""
    assert cycles(12, seed=12) == []


@pytest.mark.long
def test_two_hundred_starts_and_stops_with_kills_leave_nothing():
    """Each kind of kill many times."""
    assert cycles(200, seed=200) == []
