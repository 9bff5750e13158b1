"""One process at a time goes on with a session: two would ask the same questions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from qualification.core.file_lock import LockTaken, locked_at_once

_FILE = ".running"


@contextlib.contextmanager
def going_on(folder: Path) -> Iterator[None]:
    """Hold the lock on a session's folder, which is made where it is missing.

    Raises LockTaken, whose text names the process that holds it. A file system without locks has
    none. Folders of sessions that were killed before they had a journal are removed.
    """
    with contextlib.suppress(OSError):
        for file in folder.parent.glob(f"*/{_FILE}"):
            if not who_goes_on(file.parent):
                _remove_if_empty(file.parent)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_at_once(folder / _FILE, f"process {os.getpid()}"))
        yield
    _remove_if_empty(folder)


def who_goes_on(folder: Path) -> str:
    """The process that goes on with a session now, '' where none does."""
    if not (folder / _FILE).exists():
        return ""
    try:
        with locked_at_once(folder / _FILE, ""):
            return ""
    except LockTaken as holder:
        return str(holder) or "another process"
    except OSError:
        return ""


def _remove_if_empty(folder: Path) -> None:
    """A session that was not begun, or whose journal is removed."""
    with contextlib.suppress(OSError):
        folder.rmdir()
