"""Folders of processes that were killed are removed by the next one that makes a folder."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from qualification.session.scratch import make_scratch, remove_scratch, scratch, sweep

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


@pytest.mark.parametrize("names", [(), ("image.png",)])
def test_what_its_owner_had_half_made_or_half_removed_is_swept_up_too(tmp_path, monkeypatch, names):
    """Killed between two calls of the system; nothing in the folder says whose it was."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / "qualify-session-x.scratch"
    killed.mkdir()
    for name in names:
        (killed / name).touch()
    with scratch("toy") as folder:
        assert list(tmp_path.iterdir()) == [folder]


def test_what_an_interruption_keeps_from_being_removed_is_swept_up(tmp_path, monkeypatch):
    """Also by the process whose folder it was."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = make_scratch("toy")

    def interrupted(*_words, **_named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            remove_scratch(folder)
    assert folder.is_dir()
    sweep()
    assert not folder.exists()


def test_a_folder_that_is_swept_up_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """By another process that starts at the same moment."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sweeps = ["open", "lock"]
    opened, locked = os.open, fcntl.flock

    def sweep_then_open(folder, *flags, **named):
        if sweeps == ["open", "lock"]:
            sweeps.pop(0)
            os.rmdir(folder)
        return opened(folder, *flags, **named)

    def sweep_then_lock(descriptor, operation):
        if sweeps == ["lock"]:
            sweeps.pop(0)
            for folder in tmp_path.iterdir():
                folder.rmdir()
        return locked(descriptor, operation)

    monkeypatch.setattr(os, "open", sweep_then_open)
    monkeypatch.setattr(fcntl, "flock", sweep_then_lock)
    folder = make_scratch("toy")
    assert not sweeps
    assert folder.is_dir()
    remove_scratch(folder)
