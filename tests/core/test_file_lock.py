"""The lock of one file: one at a time, also over deaths, children and removals."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from qualification.core.file_lock import locked


def test_one_who_does_not_wait_says_nothing(tmp_path):
    """And the file has its process number while it holds the lock."""
    said = []
    with locked(tmp_path / "lock", said.append) as lock:
        assert lock.path.read_text() == str(os.getpid())
    assert said == []


def test_the_second_waits_and_says_for_whom(tmp_path):
    """It enters when the first has left."""
    order, said, waits = [], [], threading.Event()

    def second():
        with locked(tmp_path / "lock", lambda text: (said.append(text), waits.set())):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert f"process {os.getpid()}" in said[0]
    assert str(tmp_path / "lock") in said[0]


def test_a_holder_that_is_killed_lets_go(tmp_path):
    """The kernel releases the lock; nobody has to clean up."""
    held = multiprocessing.get_context("fork").Event()

    def hold():
        with locked(tmp_path / "lock"):
            held.set()
            signal.pause()

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    assert held.wait(10)
    process.kill()
    process.join(10)
    with locked(tmp_path / "lock", pytest.fail):
        pass


def test_a_child_that_was_given_the_descriptor_holds_on(tmp_path):
    """What a dead builder has started is waited for, too, and is named as what it is."""
    read, write = os.pipe()
    with locked(tmp_path / "lock") as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=read,
            pass_fds=[lock.descriptor],
        )
    os.close(read)
    (tmp_path / "lock").write_text("4194305")  # over the largest process number
    said = []

    def let_go(text):
        said.append(text)
        os.close(write)

    with locked(tmp_path / "lock", let_go):
        assert child.wait(10) == 0
    assert "a process that another one has left" in said[0]


def test_a_lock_whose_file_was_removed_locks_nothing_any_more(tmp_path):
    """Who waited for it takes the lock of the new file."""
    entered, waits = threading.Event(), threading.Event()

    def second():
        with locked(tmp_path / "lock", lambda _: waits.set()) as lock:
            assert lock.path.stat().st_ino == os.fstat(lock.descriptor).st_ino
            entered.set()

    with locked(tmp_path / "lock") as lock:
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        lock.path.unlink()
    thread.join(10)
    assert entered.is_set()
