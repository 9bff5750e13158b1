"""Each place that cannot keep results stops a run before its first test, in one sentence."""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest

from qualification.results.store import Store
from tests.support.old_store import make_old_store
from tests.support.toy_project import ASKING

WITHOUT_PRIVILEGES = """
import ctypes

class Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]

libc = ctypes.CDLL(None, use_errno=True)
if libc.capset(ctypes.byref(Header(0x20080522, 0)), ctypes.byref((ctypes.c_uint32 * 6)())):
    raise OSError(ctypes.get_errno(), "capset")
"""
"""A conftest: the permissions of files hold for root too. See capset(2)."""

_MOUNTS = """
import ctypes, os, shutil, subprocess

CLONE_NEWNS = 0x20000
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(CLONE_NEWNS):
    raise OSError(ctypes.get_errno(), "unshare")

def mount(*words):
    subprocess.run(["mount", *words], check=True)

def fill(place, bytes_left=0):
    with open(os.path.join(place, "filler"), "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - bytes_left))

mount("--make-rprivate", "/")
"""

IMPATIENT = """
from qualification.results import opening
opening.LOCKED_S = 1.0
"""
"""A conftest: nobody waits fifteen seconds for a lock."""


def on_small_disk(place: Path, *, size: str = "1m", then: str) -> str:
    """A conftest: a disk of its own is mounted at ``place``, and ``then`` is done.

    ``then`` may call ``fill(place)`` and ``mount(*words)``.
    """
    mounted = f'mount("-t", "tmpfs", "-o", "size={size}", "tmpfs", place)'
    return "\n".join([_MOUNTS, f"place = {str(place)!r}", mounted, then])


def require_mounts(folder: Path) -> None:
    """Skip the test where this user may not mount anything."""
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def a_truncated_database(file):
    """Half of it was written when the machine went down."""
    Store(f"sqlite:///{file}")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def a_damaged_old_store(file):
    """It cannot be migrated."""
    make_old_store(file)
    with sqlite3.connect(file) as database:
        database.execute("drop table verdicts")
    database.close()


def a_journal_that_cannot_be_rolled_back(file):
    """SQLite's own journal is a folder."""
    Store(f"sqlite:///{file}")
    file.with_name(f"{file.name}-journal").mkdir()


def a_link_to_a_folder_that_vanished(file):
    """As of a disk that is not mounted."""
    file.symlink_to(file.parent / "gone/results.sqlite")


def a_loop_of_links(file):
    """Two links that lead to each other."""
    file.symlink_to(file.with_name("other"))
    file.with_name("other").symlink_to(file)


def a_fifo(file):
    """Whoever reads it waits for a writer."""
    os.mkfifo(file)


def a_socket(file):
    """As a server has it."""
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(file.parent)  # a socket's path is short
        server.bind(file.name)


def a_link_to_a_device(file):
    """It takes everything and keeps nothing."""
    file.symlink_to("/dev/null")


FILES = [
    (a_truncated_database, "corrupt"),
    (a_damaged_old_store, "no such table: verdicts"),
    (a_journal_that_cannot_be_rolled_back, "cannot be read or written"),
    (a_link_to_a_folder_that_vanished, "gone/results.sqlite, whose folder is not there"),
    (a_loop_of_links, "results.sqlite"),
    (a_fifo, "and no file"),
    (a_socket, "and no file"),
    (a_link_to_a_device, "and no file"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "words"), FILES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_cannot_take_results_stops_the_run(toy_project, make, words):
    """It is left as it is."""
    file = toy_project.path / "results.sqlite"
    make(file)
    before = os.lstat(file)
    sentence = toy_project.stopped("--results", file)
    assert words in sentence
    assert os.lstat(file).st_mode == before.st_mode


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("x" * 300 + ".sqlite", "File name too long"),
        ("folder/" * 700 + "results.sqlite", "File name too long"),
        ("suite.py/results.sqlite", "Not a directory"),
        ("/proc/results.sqlite", "cannot be written"),
        ("/dev/full", "and no file"),
        ("sqlite://", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
    ],
    ids=["name", "path", "file for a folder", "proc", "device", "memory", "memory by its URI"],
)
def test_a_name_that_no_results_can_have_stops_the_run(toy_project, place, words):
    """Too long, below a file, or nowhere on a disk."""
    (toy_project.path / "suite.py").write_text("")
    assert words in toy_project.stopped("--results", place)


@pytest.mark.slow
@pytest.mark.parametrize("name", [r"a\u0000b.sqlite", r"a\u0000b/results.sqlite"])
def test_a_name_with_a_nul_byte_stops_the_run(toy_project, name):
    """No command line can have one, but settings can."""
    settings = f'[tool.qualification]\nresults = "{name}"\n'
    (toy_project.path / "pyproject.toml").write_text(settings)
    assert "NUL" in toy_project.stopped()


@pytest.mark.slow
@pytest.mark.parametrize("existing", [False, True])
def test_a_disk_that_is_read_only_stops_the_run(toy_project, existing):
    """With a database on it, and without one."""
    require_mounts(toy_project.path)
    place = toy_project.path / "disk"
    place.mkdir()
    Store(f"sqlite:///{toy_project.path / 'results.sqlite'}")
    then = 'shutil.copy("results.sqlite", place)\n' * existing
    then += 'mount("-o", "remount,ro", place)'
    (toy_project.path / "conftest.py").write_text(on_small_disk(place, then=then))
    results = place / "results.sqlite"
    sentence = toy_project.stopped("--results", results)
    assert "Read-only file system" in sentence


FULL = {
    "new": "fill(place)",
    "existing": 'shutil.copy("results.sqlite", place); fill(place)',
    "to be migrated": 'shutil.copy("old.sqlite", place + "/results.sqlite"); fill(place, 60_000)',
    "almost full": "fill(place, 500_000)",
}


@pytest.mark.slow
@pytest.mark.parametrize("state", FULL)
def test_a_disk_that_is_full_stops_the_run(toy_project, state):
    """Also where an old database has no room for the copy that is made before it is migrated."""
    require_mounts(toy_project.path)
    place = toy_project.path / "disk"
    place.mkdir()
    Store(f"sqlite:///{toy_project.path / 'results.sqlite'}")
    make_old_store(toy_project.path / "old.sqlite")
    (toy_project.path / "conftest.py").write_text(on_small_disk(place, then=FULL[state]))
    results = place / "results.sqlite"
    sentence = toy_project.stopped("--results", results)
    assert "disk/results.sqlite" in sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    ("then", "words"),
    [
        ("fill(place)", "No space left on device"),
        ('mount("-o", "remount,ro", place)', "Read-only file system"),
        ("fill(place, 500_000)", "are free"),
    ],
    ids=["full", "read-only", "almost full"],
)
def test_a_disk_without_room_for_the_journal_stops_the_run(toy_project, then, words):
    """Where the database itself has room."""
    require_mounts(toy_project.path)
    place = toy_project.path / "reports/sessions"
    place.mkdir(parents=True)
    (toy_project.path / "conftest.py").write_text(on_small_disk(place, then=then))
    sentence = toy_project.stopped()
    assert "reports/sessions" in sentence
    assert words in sentence


@pytest.mark.slow
@pytest.mark.parametrize("option", [(), ("--results", "none")])
def test_a_temporary_folder_without_room_stops_the_run(toy_project, monkeypatch, option):
    """Every worker needs it, and the journal of a run that stores nothing lies there."""
    require_mounts(toy_project.path)
    place = toy_project.path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    conftest = on_small_disk(place, then="fill(place, 200_000)")
    (toy_project.path / "conftest.py").write_text(conftest)
    sentence = toy_project.stopped(*option)
    assert "TMPDIR" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reports", "reports/sessions", "reports/results.sqlite"])
def test_what_is_read_only_stops_the_run(toy_project, name):
    """A folder or the file itself, by its permissions."""
    toy_project.run(suite=ASKING)
    (toy_project.path / "asked").unlink()
    path = toy_project.path / name
    path.chmod(0o500 if path.is_dir() else 0o400)
    if os.geteuid() == 0:
        (toy_project.path / "conftest.py").write_text(WITHOUT_PRIVILEGES)
    assert name in toy_project.stopped()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reports", "reports/sessions", "reports/results.sqlite"])
def test_what_is_immutable_stops_the_run(toy_project, name):
    """By the attribute of the file system, which holds for root too."""
    toy_project.run(suite=ASKING)
    (toy_project.path / "asked").unlink()
    path = toy_project.path / name
    try:
        done = subprocess.run(["chattr", "+i", path], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"there is no chattr here: {error}")
    if done.returncode:
        pytest.skip(f"no file can be made immutable here: {done.stderr.strip()}")
    try:
        assert name in toy_project.stopped()
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@pytest.mark.slow
def test_a_database_that_another_process_makes_and_never_finishes_stops_the_run(toy_project):
    """It holds the lock of whoever makes the tables."""
    (toy_project.path / "conftest.py").write_text(IMPATIENT)
    (toy_project.path / "reports").mkdir()
    with (toy_project.path / "reports/.results.sqlite.lock").open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        sentence = toy_project.stopped()
    assert ": another process has been making or migrating its tables for over 1 s" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reports", "reports/sessions"])
def test_a_link_in_place_of_a_folder_stops_the_run(toy_project, name):
    """It leads to a folder that vanished."""
    link = toy_project.path / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(toy_project.path / "gone/folder")
    assert name in toy_project.stopped()


@pytest.mark.slow
def test_a_limit_of_the_size_of_files_stops_the_run(toy_project):
    """``ulimit -f``: neither database nor journal could grow."""
    conftest = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, -1))"
    (toy_project.path / "conftest.py").write_text(conftest)
    assert "reports" in toy_project.stopped()
