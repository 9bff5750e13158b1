"""An exclusive lock on a file, which the kernel releases when its holder dies.

The file keeps the holder's process number, so that one who waits can say for whom. It is flock(2):
a lock of an open file and not of a process, so it is also held by a child that was given its
descriptor (``pass_fds``), and only the last of them lets it go.
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
    """A lock that is held: its file, and the descriptor to hand to a child that shall hold it."""

    path: Path
    descriptor: int


@contextmanager
def locked(path: Path, say: Callable[[str], None] | None = None) -> Iterator[Lock]:
    """Hold the exclusive lock on ``path`` (made if it is not there); wait for another holder.

    ``say`` gets one sentence if there is one to wait for. The holder may remove the file: who comes
    next makes a new one. Raises OSError where the file cannot be opened.
    """
    while True:
        with path.open("a+") as stream:
            _acquire(stream.fileno(), path, say)
            # Whoever held it before may have removed the file: then it locks nothing any more.
            try:
                held = path.stat().st_ino == os.fstat(stream.fileno()).st_ino
            except FileNotFoundError:
                held = False
            if held:
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
    """Name the process that holds the lock; one that died may have left a child that holds it."""
    try:
        number = int(path.read_text())
        os.kill(number, 0)
    except (OSError, ValueError, OverflowError):
        return "a process that another one has left"
    return f"process {number}"
