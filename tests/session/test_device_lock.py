"""One session of a user measures on a machine at a time, and its lock ends with its process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qualification.core.errors import DeviceBusy
from qualification.session import device_lock
from qualification.session.device_lock import measuring

MEASURES = (
    "import sys; from pathlib import Path\n"
    "from qualification.session.device_lock import measuring\n"
    "with measuring('qualify gate', Path('/a project')):\n"
    "    print('measures', flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    """The folder of this test's locks."""
    folder = tmp_path / "not/made yet"
    monkeypatch.setenv("QUALIFY_LOCKS", str(folder))
    return folder


@pytest.fixture
def owner():
    """Another process, which measures."""
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURES], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"measures\n"
    yield process
    process.kill()
    process.communicate()


def begin():
    """Measure for a moment."""
    with measuring("pytest", Path("/mine")):
        pass


def test_a_second_session_is_refused_with_the_owners_name(owner):
    """Command, process, project and since when; and what to do."""
    with pytest.raises(DeviceBusy) as refused:
        begin()
    assert re.fullmatch(
        rf"qualify gate \(process {owner.pid}\) in /a project since "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d measures on this machine: wait until it ends",
        str(refused.value),
    )


@pytest.mark.parametrize("end", ["communicate", "kill"])
def test_the_lock_ends_with_its_process(owner, end):
    """Also where that is killed; nothing has to be cleaned up."""
    getattr(owner, end)()
    owner.wait()
    begin()


def test_a_child_of_the_owner_does_not_keep_the_lock():
    """Such as a worker that outlives it for a moment."""
    with measuring("pytest", Path("/mine")):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        begin()
    finally:
        child.kill()
        child.wait()


def test_nothing_is_left_of_a_lock(locks):
    """It is one file, of this user and this start of the machine, while somebody measures."""
    with measuring("pytest", Path("/mine")):
        (file,) = locks.iterdir()
        assert file.name.startswith(f"measuring-{os.getuid()}-")
    assert list(locks.iterdir()) == []


def test_machines_that_share_a_home_folder_do_not_wait_for_each_other(monkeypatch):
    """Each has a start of its own; one that has no name for it goes by the machine's."""
    names = iter(["one", "another", "", ""])
    monkeypatch.setattr(device_lock, "boot_identity", lambda: next(names))
    with measuring("pytest", Path("/mine")):
        begin()
    with measuring("pytest", Path("/mine")), pytest.raises(DeviceBusy, match=f"{os.getpid()}"):
        begin()


def test_an_owner_whose_line_is_hostile_is_shown_on_one_line(locks):
    """A folder may have any name."""
    with measuring("pytest", Path("/a\nfolder\x1b[31m")), pytest.raises(DeviceBusy) as refused:
        begin()
    assert "/a folder [31m since" in str(refused.value)


def test_a_folder_that_cannot_be_written_is_one_sentence(locks):
    """With the variable that names another."""
    locks.parent.mkdir()
    locks.write_text("a file")
    with pytest.raises(DeviceBusy, match=r"cannot be taken there \(.+\): name .* QUALIFY_LOCKS"):
        begin()


def test_an_error_of_who_measures_is_its_own():
    """It says nothing of the lock."""
    with pytest.raises(OSError, match="a disk of mine"), measuring("pytest", Path("/mine")):
        raise OSError("a disk of mine")
