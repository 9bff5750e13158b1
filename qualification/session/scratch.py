"""Folders for temporary files that are swept up, should their owner be killed.

The owner holds its folder locked, with flock(2) on the folder itself: the kernel lets go of it when
the owner ends, however that happens and whatever is in the folder by then. Whoever makes a folder
removes those that nobody holds any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".scratch"
_OWNED: dict[Path, int] = {}
_TRIES, _PAUSE_S = 20, 0.05


@contextlib.contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder ``qualify-PURPOSE-….scratch``, removed at the end."""
    folder = make_scratch(purpose)
    try:
        yield folder
    finally:
        remove_scratch(folder)


def make_scratch(purpose: str) -> Path:
    """A new folder that this process owns; those of processes that were killed are removed."""
    sweep()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"qualify-{purpose}-", suffix=_SUFFIX))
        # Another process may sweep it up before it is locked.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if folder.is_dir():
                    _OWNED[folder] = descriptor
                    return folder
            finally:
                if folder not in _OWNED:
                    os.close(descriptor)


def remove_scratch(folder: Path) -> None:
    """Remove a folder of this process, also from under who still writes there while it ends."""
    try:
        for _ in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(_PAUSE_S)
    finally:  # a signal may end this too; what is left is nobody's then, and is swept up
        if (descriptor := _OWNED.pop(folder, None)) is not None:
            os.close(descriptor)


def sweep() -> None:
    """Remove the folders that nobody holds any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"qualify-*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
