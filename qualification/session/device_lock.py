"""One session at a time measures on a machine; answers that nobody times may be asked beside it.

The lock is flock(2) on ``measuring-USER-START.lock`` in the folder of caches (``QUALIFY_LOCKS``
names another): it ends with its process, however that ends. USER is the user's number, and START
the machine's present start: machines that share a home folder do not wait for each other, and
containers that share one on the same machine do. The file has one line, which says who measures.
"""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from qualification.core.errors import DeviceBusy
from qualification.core.file_lock import LockTaken, locked_at_once
from qualification.core.paths import locks
from qualification.machine.boot import boot_identity


@contextmanager
def measuring(command: str, folder: Path) -> Iterator[None]:
    """Be the only session of this user that measures on this machine.

    ``command`` (without its arguments, which may hold a key) and the project's ``folder`` name this
    session to those that are refused meanwhile. Raises DeviceBusy, one sentence, where another one
    measures, and also where the lock's file cannot be written: figures of two sessions that measure
    each other unnoticed would be worse than a variable to set.
    """
    file = locks() / f"measuring-{os.getuid()}-{boot_identity() or platform.node()}.lock"
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_at_once(file, _description(command, folder)))
        except LockTaken as holder:
            raise DeviceBusy(
                f"{str(holder) or 'another session'} measures on this machine: wait until it ends"
            ) from None
        except OSError as error:
            raise DeviceBusy(
                f"{file}: the lock of whoever measures cannot be taken there "
                f"({error.strerror or error}): name a folder of yours with QUALIFY_LOCKS"
            ) from error
        yield


def _description(command: str, folder: Path) -> str:
    """Who measures, where and since when (local time with its offset)."""
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    return f"{command} (process {os.getpid()}) in {folder} since {now}"
