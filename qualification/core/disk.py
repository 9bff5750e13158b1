"""Tells a full disk from every other failure: it is the machine's, not a model's or a library's."""

from __future__ import annotations

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from qualification.core.errors import DiskFull
from qualification.core.format import bytes_text

_FULL = (errno.ENOSPC, errno.EDQUOT)
_WORDS = ("no space left on device", "disk quota exceeded")
_DEEPEST = 20
_PROBE_BYTES = 1 << 16


def is_of_a_full_disk(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, is of a full disk: by its number or its text.

    Libraries raise another exception from it, or with nothing but its text.
    """
    cause: BaseException | None = error
    for _ in range(_DEEPEST):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        text = f"{cause} {getattr(cause, 'stderr_tail', '')}".lower()
        if any(words in text for words in _WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def has_no_room(folder: Path) -> bool:
    """Whether not even a small file can be written into a folder because its disk is full."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
    except OSError as error:
        return error.errno in _FULL
    return False


def full_disk(folder: Path) -> DiskFull:
    """The exception for a folder whose disk is full."""
    free = ""
    with contextlib.suppress(OSError):
        free = f" ({bytes_text(shutil.disk_usage(folder).free)} free)"
    return DiskFull(
        f"{folder}: no space is left on its disk{free}; free some, or name a folder on another "
        "disk: TMPDIR for temporary files, HF_HUB_CACHE or QUALIFY_CACHE for weights"
    )


@contextlib.contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Raise DiskFull, which names ``folder``, for whatever a full disk raises within the block."""
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if is_of_a_full_disk(error):
            raise full_disk(folder) from error
        raise
