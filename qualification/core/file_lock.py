"""An exclusive lock on a file, which the kernel releases when its holder dies.

The file contains the holder's process id, so that a process that waits can name it. It is flock(2):
the lock belongs to the open file and not to a process, so a child that inherits the descriptor
(``pass_fds``) holds it too, and the kernel releases it when the last of them closes it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


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
    while True:
        with path.open("a+") as stream:
            _acquire(stream.fileno(), path, say)
            # The previous holder may have removed the file: then our lock is on a file without a
            # name, and another process can lock the new one.
            try:
                is_current = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
            except FileNotFoundError:
                is_current = False
            if is_current:
                stream.truncate(0)
                stream.write(str(os.getpid()))
                stream.flush()
                yield Lock(path, stream.fileno())
                return


def _acquire(descriptor: int, path: Path, say: Callable[[str], None] | None) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if say is not None:
            say(f"waiting for {_holder(path)}, which holds {path}")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _holder(path: Path) -> str:
    """Name the process that holds the lock; if it has ended, a child of it holds the lock."""
    try:
        number = int(path.read_text())
        os.kill(number, 0)
    except (OSError, ValueError, OverflowError):
        return "the child of a process that has ended"
    return f"process {number}"
