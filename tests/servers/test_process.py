"""A server is started, trusted only if it is its own, observed from outside, and fully stopped."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import httpx2
import psutil
import pytest

from qualification.core.errors import (
    BackendFailed,
    BackendUnavailable,
    SelectionError,
    WorkerTimedOut,
)
from qualification.core.paths import PACKAGE
from qualification.machine.gpu_memory import DevicePeak
from qualification.servers import ports
from qualification.servers.process import ServerCommand, ServerProcess

TOY = PACKAGE.parent / "tests/support/toy_server.py"


def toy(*options, **environment):
    """The command of a stand-in with chosen faults."""
    argv = (sys.executable, "-S", str(TOY), "--port", "{port}", *options)
    return ServerCommand("toy", argv, environment)


def processes_of(folder):
    """Processes whose temporary folder is that one."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR") == str(folder):
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def runs(pid):
    """Whether a process runs; an ended one that was not collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def scratch():
    """A folder for one server, which must be empty at the end, without a process that uses it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)
        assert not processes_of(name)
        assert not list(Path(name).iterdir())


@pytest.fixture
def start(scratch):
    """Start a server that is stopped at the end in any case."""
    started = []

    def _start(command, **settings):
        server = ServerProcess(command, scratch=scratch, **{"grace_s": 5, **settings})
        started.append(server)
        server.start()
        return server

    yield _start
    for server in started:
        server.stop()


@pytest.fixture
def stranger():
    """Another process that listens on a port."""
    code = (
        "import socket, time\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
        "print(s.getsockname()[1], flush=True)\nc, _ = s.accept()\nprint('visited', flush=True)\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with process:
        process.port = int(process.stdout.readline())
        yield process
        process.kill()


def test_it_is_ready_once_its_health_says_so(start, scratch):
    """Not while it answers 503; its log and temporary files are in the scratch folder."""
    started = time.monotonic()
    server = start(toy("--start-after", "0.4", "--print", "hello"))
    assert time.monotonic() - started >= 0.4
    assert server.alive
    assert server.log().strip() == "hello"
    assert httpx2.get(server.url + "/tmpdir", trust_env=False).json() == {"TMPDIR": str(scratch)}
    server.stop()
    server.stop()
    assert not server.alive
    assert not runs(server.pid)
    assert ports.is_free(server.port)
    assert server.log().strip() == "hello"


def test_a_proxy_of_the_user_is_not_used(start, monkeypatch):
    """Not for the loopback address, even if the environment names one."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert start(toy(), deadline_s=20).alive


def test_a_folder_of_its_own_is_gone_after_the_stop(tmp_path, monkeypatch):
    """Without a scratch folder a folder exists only as long as the server."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with ServerProcess(toy(), grace_s=5):
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_a_death_at_the_start_is_reported_with_its_output(start):
    """The sentence has the exit code; the log is beside it, its terminal escapes disarmed."""
    with pytest.raises(BackendFailed, match="toy left with exit code 3 before it was ready") as hit:
        start(toy("--never-ready", "--die-after", "0.1", "--print", "no \x1b[31mfile"))
    assert "no \\x1b[31mfile" in hit.value.stderr_tail


def test_a_server_that_is_never_ready_is_ended_at_its_deadline(start):
    """The sentence has its latest answer."""
    with pytest.raises(WorkerTimedOut, match=r"deadline of 1 s .* /health last answered 503"):
        start(toy("--never-ready"), deadline_s=1)


@pytest.mark.parametrize("program", ["no-such-program", "/etc/hostname", "/"])
def test_a_file_that_is_no_program_is_unavailable(start, program):
    """Missing, not executable, a folder: one sentence with its name."""
    with pytest.raises(BackendUnavailable, match=f"the program {program} cannot be started"):
        start(ServerCommand("llama-server", (program, "--port", "{port}")))


def test_a_server_that_ignores_sigterm_is_killed_after_the_grace(start):
    """Not before the grace is over."""
    server = start(toy("--ignore-sigterm"), grace_s=0.5)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started >= 0.5
    assert not runs(server.pid)


@pytest.mark.parametrize("kind", ["session", "daemon"])
def test_its_descendants_are_seen_and_ended_with_it(start, kind):
    """A child in a session of its own; on Linux also a daemon without the marked environment."""
    if kind == "daemon" and sys.platform != "linux":
        pytest.skip("the kernel gives orphans to the guard on Linux only")
    server = start(toy("--grandchild", kind))
    tree = server.tree()
    assert tree[0] == server.pid
    assert len(tree) == 2
    server.stop()
    assert not any(map(runs, tree))


def test_memory_is_read_from_outside_over_the_tree(start):
    """The peaks of its processes are added; none once it has ended."""
    server = start(toy("--grandchild", "session"))
    report = server.peak_memory()
    assert report.peak_memory_bytes >= server.held_bytes() > 1_000_000
    assert report.details["descendants"] == 1
    assert report.peak_memory_bytes > report.details[f"own_{report.metric}"]
    server.stop()
    assert server.held_bytes() == 0
    with pytest.raises(BackendFailed, match="has ended, so its peak memory"):
        server.peak_memory()


def test_device_memory_is_of_the_whole_tree():
    """Each of its processes once on each GPU, no other; freed memory stays in the peak."""
    used = {11: 4, 12: 3, 77: 100}

    def listed(_handle):
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in used.items()]

    driver = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetComputeRunningProcesses=listed,
        nvmlDeviceGetGraphicsRunningProcesses=listed,
    )
    tree = [11, 12]
    peak = DevicePeak(driver, pids=lambda: tree)
    assert peak.sample() == 14
    tree.remove(12)
    assert peak.sample() == 8
    assert peak.bytes == 14


def test_a_requested_port_is_used_if_it_is_free(start):
    """Any port that is free just now, in place of 8080."""
    port = ports.free_port()
    server = start(toy(), requested_port=port)
    assert (server.port, server.notes) == (port, ())


def test_a_stranger_on_the_requested_port_is_named_and_left_alone(start, stranger):
    """Never killed, never connected to; another port is used."""
    server = start(toy(), requested_port=stranger.port)
    assert server.port != stranger.port
    name = psutil.Process(stranger.pid).name()
    assert server.notes == (
        f"port {stranger.port} is taken by {name} (pid {stranger.pid}): {server.port} is used "
        "instead",
    )
    server.stop()
    assert stranger.poll() is None
    with socket.create_connection(("127.0.0.1", stranger.port), timeout=10):
        assert stranger.stdout.readline() == b"visited\n"  # the test was its first visitor


@pytest.mark.parametrize("sharing", [False, True])
def test_a_port_that_another_process_takes_in_between_is_left_to_it(scratch, sharing):
    """The server dies because it cannot bind; or it shares the port and gets half the requests."""
    option = ("--reuse-port",) if sharing else ()
    server = ServerProcess(toy("--listen-after", "0.7", *option), scratch=scratch, grace_s=5)

    def take(taker):
        while not server.pid:
            time.sleep(0.01)
        if sharing:
            taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taker.bind(("127.0.0.1", server.port))
        taker.listen()

    with socket.socket() as taker:
        thread = threading.Thread(target=take, args=(taker,))
        thread.start()
        with server:
            thread.join()
            lost = taker.getsockname()[1]
            assert server.port != lost
            assert len(server.notes) == 1
            assert f"port {lost} is taken by" in server.notes[0]
            assert f"(pid {os.getpid()})" in server.notes[0]
            taker.settimeout(0.1)
            if not sharing:
                with pytest.raises(TimeoutError):  # it was never connected to
                    taker.accept()


def test_both_guards_killed_at_once_leave_nothing_after_the_stop(start):
    """The stop itself notices that they are gone."""
    server = start(toy("--grandchild", "session"))
    tree = server.tree()
    for guard in server.guards:
        os.kill(guard, signal.SIGKILL)
    server.stop()
    assert not any(map(runs, tree))


@pytest.mark.parametrize("guard", [0, 1])
def test_a_guard_that_is_killed_takes_the_server_with_it(start, guard):
    """Either of the two; a descendant in a session of its own is ended too."""
    server = start(toy("--grandchild", "session"))
    tree = server.tree()
    os.kill(server.guards[guard], signal.SIGKILL)
    end = time.monotonic() + 10
    while server.alive and time.monotonic() < end:
        time.sleep(0.02)
    assert not server.alive
    server.stop()
    assert not any(map(runs, (*tree, *server.guards)))


def test_both_guards_killed_at_once_leave_nothing_once_it_is_noticed(start):
    """The kernel ends the server; the check whether it is alive ends its descendants."""
    server = start(toy("--grandchild", "session"))
    tree = server.tree()
    for guard in server.guards:
        os.kill(guard, signal.SIGKILL)
    end = time.monotonic() + 10
    while server.alive and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(runs, tree))


def test_a_server_that_is_killed_is_not_alive_and_stops_clean(start):
    """A kill -9 from outside, as the kernel kills when memory runs out."""
    server = start(toy("--grandchild", "session"))
    tree = server.tree()
    os.kill(server.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while server.alive and time.monotonic() < end:
        time.sleep(0.02)
    assert not server.alive
    assert server.tree() == ()
    server.stop()
    assert not any(map(runs, tree))


@pytest.fixture
def interruptible():
    """Ctrl-C raises KeyboardInterrupt here too: a process of pytest-xdist ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_while_it_starts_leaves_nothing(start):
    """Ctrl-C in the parent, while the server is not ready."""
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        start(toy("--never-ready"))


@pytest.mark.usefixtures("interruptible")
@pytest.mark.skipif(sys.platform != "linux", reason="a daemon is known by its descent there only")
def test_an_interruption_of_the_stop_leaves_nothing(start):
    """Ctrl-C during the grace: a daemon without the marked environment is ended too."""
    server = start(toy("--ignore-sigterm", "--grandchild", "daemon"), grace_s=60)
    tree = server.tree()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        server.stop()
    assert len(tree) == 2
    assert not any(map(runs, (*tree, *server.guards)))


def test_one_server_is_started_once(start):
    """A second start is refused with a sentence."""
    server = start(toy())
    with pytest.raises(SelectionError, match="started before"):
        server.start()


@pytest.mark.parametrize("folder", [Path("/"), Path.home(), Path(tempfile.gettempdir()), Path()])
def test_a_shared_folder_is_refused_as_scratch_folder(folder):
    """It would be removed if the run died."""
    with pytest.raises(SelectionError, match="made for the run"):
        ServerProcess(toy(), scratch=folder)


def test_a_command_without_a_port_is_refused():
    """The harness picks the port."""
    with pytest.raises(SelectionError, match=r"write \{port\} where the port goes"):
        ServerProcess(ServerCommand("llama-server", ("llama-server", "--port", "8080")))


def test_a_port_that_is_none_is_refused():
    """Ports end at 65535."""
    with pytest.raises(SelectionError, match="70000 is no port"):
        ServerProcess(toy(), requested_port=70000)
