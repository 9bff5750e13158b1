"""A journal: one JSON object a line, on the disk before its writer goes on.

A writer that was killed leaves at most one line that has no end; readers drop it. Any other line
that cannot be read is an error, never skipped.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class JournalError(Exception):
    """A journal that cannot be read; the text names file and line."""


@dataclass(frozen=True)
class Lines:
    """The whole lines of a journal, and how many bytes they have."""

    entries: tuple[dict[str, Any], ...]
    length: int


_to_disk = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class JournalFile:
    """An open journal, to which lines are added; ``is_new``: FileExistsError if there is one."""

    def __init__(self, path: Path, *, is_new: bool = False) -> None:
        self.path = path
        self._file = path.open("x+b" if is_new else "a+b", buffering=0)

    def add(self, entry: dict[str, Any]) -> None:
        """Append a line; it is on the disk when this returns. OSError where it cannot be."""
        descriptor = self._file.fileno()
        line = json.dumps(entry).encode() + b"\n"
        if os.write(descriptor, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _to_disk(descriptor)
        if not os.fstat(descriptor).st_nlink:
            raise FileNotFoundError(errno.ENOENT, "it was removed")

    def whole_lines(self) -> bytes:
        """What was written so far, also of a file that was removed."""
        self._file.seek(0)
        content = self._file.read()
        return content[: content.rfind(b"\n") + 1]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_lines(path: Path) -> Lines:
    """The whole lines of a journal; JournalError if one of them is no JSON object."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: cannot be read: {error.strerror or error}") from error
    length = content.rfind(b"\n") + 1
    lines = content[:length].splitlines()
    return Lines(tuple(_entry(line, path, n) for n, line in enumerate(lines, 1)), length)


def _entry(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(f"{path}:{number}: is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise JournalError(f"{path}:{number}: is not a JSON object")
    return entry
