"""Folders for temporary files that are swept up, should their owner be killed.

A folder has a file that its owner holds locked; the kernel lets go of it when the owner ends,
however that happens. Whoever makes a folder removes those that nobody holds any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_OWNER = ".owner"
_OWNED: dict[Path, int] = {}


@contextlib.contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder ``qualify-PURPOSE-…``, removed at the end."""
    folder = make_scratch(purpose)
    try:
        yield folder
    finally:
        remove_scratch(folder)


def make_scratch(purpose: str) -> Path:
    """A new folder that this process owns; those of processes that were killed are removed."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"qualify-{purpose}-"))
    descriptor, name = tempfile.mkstemp(dir=folder)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(name, folder / _OWNER)  # nobody has seen the file while it was not locked
    _OWNED[folder] = descriptor
    return folder


def remove_scratch(folder: Path) -> None:
    """Remove a folder of this process."""
    shutil.rmtree(folder, ignore_errors=True)
    if (descriptor := _OWNED.pop(folder, None)) is not None:
        os.close(descriptor)


def _sweep() -> None:
    for file in Path(tempfile.gettempdir()).glob(f"qualify-*/{_OWNER}"):
        with contextlib.suppress(OSError), file.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)
