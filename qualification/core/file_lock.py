"""An exclusive lock on a file, which the kernel releases when its holder dies.

The file contains the holder's process id, or a line of its own, so that a process that waits or is
refused can name it. It is flock(2): the lock belongs to the open file and not to a process, so a
child that inherits the descriptor (``pass_fds``) holds it too, and the kernel releases it when the
last of them closes it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from qualification.core.text import one_line

_NAMES_ITSELF_S = 0.1
"""Time that a new holder has to write its line, before somebody who is refused reads it."""


class LockTaken(Exception):
    """Another process holds the lock; the text is the line that it wrote, '' where it did not."""


@dataclass(frozen=True)
class Lock:
    """A lock in force: its file, and the descriptor for a child that shall hold it too."""

    path: Path
    descriptor: int


@contextmanager
def locked(path: Path, say: Callable[[str], None] | None = None) -> Iterator[Lock]:
    """Hold the exclusive lock on ``path`` (created if missing); wait for another holder.

    ``say`` receives one sentence if there is a holder to wait for. The holder may remove the file;
    the next process creates a new one. Raises OSError if the file cannot be opened.
    """
    with _acquired(path, str(os.getpid()), lambda number: _wait(number, path, say)) as lock:
        yield lock


@contextmanager
def locked_at_once(path: Path, holder: str) -> Iterator[Lock]:
    """Hold the exclusive lock on ``path`` (created if missing), or raise LockTaken.

    ``holder`` is a line that names this process to others. The file is removed at the end. Raises
    OSError if the file cannot be opened, or its file system has no locks.
    """
    with _acquired(path, holder, lambda number: _refuse(number, path)) as lock:
        try:
            yield lock
        finally:
            with suppress(OSError):  # its folder is gone, or a file stands there
                lock.path.unlink()


@contextmanager
def _acquired(path: Path, holder: str, acquire: Callable[[int], None]) -> Iterator[Lock]:
    while True:
        with path.open("a+", encoding="utf-8", errors="replace") as stream:
            acquire(stream.fileno())
            # The previous holder may have removed the file: then our lock is on a file without a
            # name, and another process can lock the new one.
            try:
                is_current = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
            except FileNotFoundError:
                is_current = False
            if is_current:
                stream.truncate(0)
                stream.write(holder)
                stream.flush()
                yield Lock(path, stream.fileno())
                return


def _wait(descriptor: int, path: Path, say: Callable[[str], None] | None) -> None:
    if _is_free(descriptor):
        return
    if say is not None:
        say(f"waiting for {_holder(path)}, which holds {path}")
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _refuse(descriptor: int, path: Path) -> None:
    if _is_free(descriptor):
        return
    time.sleep(_NAMES_ITSELF_S)
    if _is_free(descriptor):
        return
    try:
        line = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:  # its holder has just removed it
        line = ""
    raise LockTaken(one_line(line, limit=1000))


def _is_free(descriptor: int) -> bool:
    """Whether the lock was free; it is ours then."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    """Name the process that holds the lock; if it has ended, a child of it holds the lock."""
    try:
        number = int(path.read_text())
        os.kill(number, 0)
    except (OSError, ValueError, OverflowError):
        return "the child of a process that has ended"
    return f"process {number}"
