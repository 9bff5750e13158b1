"""The lock of a file: one holder at a time, also across deaths, children and removals."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from qualification.core.file_lock import locked


def test_a_process_that_does_not_wait_says_nothing(tmp_path):
    """The file contains its process id while it holds the lock."""
    sentences = []
    with locked(tmp_path / "lock", sentences.append) as lock:
        assert lock.path.read_text() == str(os.getpid())
    assert sentences == []


def test_a_second_process_waits_and_names_the_holder(tmp_path):
    """It enters when the holder has left."""
    order, sentences, waits = [], [], threading.Event()

    def second():
        with locked(tmp_path / "lock", lambda text: (sentences.append(text), waits.set())):
            order.append("second")

    with locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert f"process {os.getpid()}" in sentences[0]
    assert str(tmp_path / "lock") in sentences[0]


def test_a_killed_holder_releases_the_lock(tmp_path):
    """The kernel releases it; no process has to clean up."""
    locked_now = multiprocessing.get_context("fork").Event()

    def hold():
        with locked(tmp_path / "lock"):
            locked_now.set()
            signal.pause()

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    assert locked_now.wait(10)
    process.kill()
    process.join(10)
    with locked(tmp_path / "lock", pytest.fail):
        pass


def test_a_child_with_the_descriptor_keeps_the_lock(tmp_path):
    """Processes wait for the child of a dead builder too, and name it as such."""
    read, write = os.pipe()
    with locked(tmp_path / "lock") as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=read,
            pass_fds=[lock.descriptor],
        )
    os.close(read)
    (tmp_path / "lock").write_text("4194305")  # over the largest process id
    sentences = []

    def let_go(text):
        sentences.append(text)
        os.close(write)

    with locked(tmp_path / "lock", let_go):
        assert child.wait(10) == 0
    assert "the child of a process that has ended" in sentences[0]


def test_a_lock_whose_file_was_removed_is_void(tmp_path):
    """A process that waited for it takes the lock of the new file."""
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
