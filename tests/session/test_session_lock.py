"""One process at a time goes on with a session."""

import os
import subprocess
import sys

import pytest

from qualification.core.file_lock import LockTaken
from qualification.session.session_lock import going_on, who_goes_on

HOLD = """
import sys, time
from pathlib import Path
from qualification.session.session_lock import going_on
with going_on(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder):
    """A process that goes on with a session."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_by_whom(tmp_path):
    """Until the first has ended, also by SIGKILL."""
    process = holder(tmp_path / "s")
    assert who_goes_on(tmp_path / "s") == f"process {process.pid}"
    with pytest.raises(LockTaken, match=f"process {process.pid}"), going_on(tmp_path / "s"):
        pass
    process.kill()
    process.wait()
    assert who_goes_on(tmp_path / "s") == ""
    with going_on(tmp_path / "s"):
        assert who_goes_on(tmp_path / "s") == f"process {os.getpid()}"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_began_and_never_wrote_is_removed(tmp_path):
    """By the next that begins; a session with a journal stays, and so does one that runs."""
    killed, running = holder(tmp_path / "killed"), holder(tmp_path / "running")
    killed.kill()
    killed.wait()
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal/001-main.jsonl").write_text("{}")
    (tmp_path / "journal/.running").write_text("process 1")
    with going_on(tmp_path / "next"):
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["journal", "next", "running"]
    running.kill()
    running.wait()
