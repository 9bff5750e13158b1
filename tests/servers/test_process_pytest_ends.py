"""However a pytest run ends, nothing of its server remains: no process, port or folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from qualification.core.paths import PACKAGE

TEST = """
import os, time, pytest

@pytest.mark.on_backends("server")
def test_waits(deployed):
    open(os.environ["READY"], "w").write(deployed.load_report.address)
    if os.environ["ENDS"] == "crash":
        os._exit(3)
    time.sleep(120)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ends", ["SIGINT", "SIGTERM", "SIGKILL", "crash"])
def test_a_run_that_ends_in_any_way_takes_its_server_with_it(tmp_path, ends):
    """Ctrl-C, a job that is cancelled, kill -9, and a crash of pytest itself."""
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "tmp").mkdir()
    ready = tmp_path / "ready"
    run = subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", str(tmp_path / "test_it.py"), "-q"),
            *("-p", "no:cacheprovider"),
            *("--rootdir", str(tmp_path), "-k", "smolvlm and llama_cpp.server"),
            *("--results", "none", "-m", "canary"),
        ],
        cwd=PACKAGE.parent,
        env=os.environ | {"READY": str(ready), "ENDS": ends, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        # A process of pytest-xdist ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        _wait(lambda: ready.exists() and ready.read_text().endswith("/v1"), 120, run)
        port = int(ready.read_text().removesuffix("/v1").rpartition(":")[2])
        if ends != "crash":
            run.send_signal(getattr(signal, ends))
        output, _ = run.communicate(timeout=60)
        assert run.returncode != 0, output
        _wait(lambda: not _listens(port), 30, None)
        _wait(lambda: not _processes(tmp_path), 30, None)
        if ends != "SIGKILL" and ends != "crash":  # pytest's own folders stay where it is killed
            assert not list((tmp_path / "tmp").glob("qualify-*"))
        assert not list((tmp_path / "tmp").glob("qualify-worker-*"))
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _processes(folder: Path) -> list[int]:
    """Processes whose temporary folder is inside: worker, guard, server and descendants."""
    pids = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TMPDIR", "").startswith(str(folder)):
                pids.append(process.pid)
        except psutil.Error:
            continue
    return pids


def _wait(holds, limit_s, run):
    end = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end, "not within its time"
        if run is not None and run.poll() is not None and not holds():
            pytest.fail(f"pytest ended early: {run.stdout.read().decode()[-2000:]}")
        time.sleep(0.05)
