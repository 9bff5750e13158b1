"""Folders of processes that were killed are removed by the next one that makes a folder."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from qualification.session.scratch import make_scratch, remove_scratch, scratch

MAKES = (
    "import os, sys; from qualification.session.scratch import make_scratch;"
    "print(make_scratch('toy'), flush=True); sys.stdin.read()"
)


def test_a_folder_is_there_as_long_as_its_owner(tmp_path, monkeypatch):
    """One that was killed is swept up; one that lives, and a stranger's, stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "qualify-stranger").mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKES],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(tmp_path)},
        )
        for _ in range(2)
    ]
    killed, alive = (Path(process.stdout.readline().strip()) for process in processes)
    processes[0].send_signal(signal.SIGKILL)
    processes[0].wait()
    assert killed.is_dir()
    own = make_scratch("toy")
    assert not killed.exists()
    assert alive.is_dir()
    remove_scratch(own)
    processes[1].communicate("")
    with scratch("toy") as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [folder.name, "qualify-stranger"]
        )
    assert [path.name for path in tmp_path.iterdir()] == ["qualify-stranger"]
