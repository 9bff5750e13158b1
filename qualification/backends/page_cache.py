"""Whether the pages of files are in the page cache, and how to drop them.

macOS has the same calls as Linux (``mmap``, ``mincore``, ``msync`` of its manual pages); one path
serves both. It has run on Linux only, see docs/not-run-on-a-mac.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

COLD_SHARE, WARM_SHARE = 0.01, 0.99
"""Share of the files' pages in memory below which a load is cold, and from which it is warm."""

_READ, _SHARED, _INVALIDATE = mmap.PROT_READ, mmap.MAP_SHARED, 2  # MS_INVALIDATE on both systems


def page_cache(files: Iterable[Path], system: Any = None) -> str:
    """``warm`` or ``cold`` as ``mincore`` reports the files' pages, else ``unknown``.

    Warm: 99 % or more of the pages are resident; cold: less than 1 %. ``system`` stands in for the
    C library in tests.
    """
    library = system or _library()
    resident = total = 0
    for file in files:
        if file.stat().st_uid != os.geteuid() and not os.access(file, os.W_OK):
            return "unknown"  # to any other user Linux reports every page as resident
        with _mapped(library, file) as (address, size):
            if not size:
                continue
            pages = -(-size // mmap.PAGESIZE)
            flags = ctypes.create_string_buffer(pages)
            if address is None or library.mincore(address, size, flags) != 0:
                return "unknown"
            # The lowest bit is "resident" on both systems; macOS uses other bits too.
            resident += sum(flag & 1 for flag in flags.raw)
            total += pages
    if not total:
        return "unknown"
    share = resident / total
    return "warm" if share >= WARM_SHARE else "cold" if share < COLD_SHARE else "unknown"


def drop_pages(files: Iterable[Path], system: Any = None) -> None:
    """Ask the system to drop the files' pages; :func:`page_cache` tells whether it did.

    Linux: ``posix_fadvise(DONTNEED)``, which keeps pages that are dirty or mapped somewhere.
    macOS has no such call: ``msync(MS_INVALIDATE)`` on a shared mapping, as fio does.
    """
    library = system or _library()
    for file in files:
        with file.open("rb") as opened:
            if hasattr(os, "posix_fadvise"):
                # Dirty pages stay in memory, so they are written to the disk first.
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                continue
        with _mapped(library, file) as (address, size):
            if size and address is not None:
                library.msync(address, size, _INVALIDATE)


def _library() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_int
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        number,
        number,
        number,
        ctypes.c_longlong,  # off_t has 64 bits on both systems
    )
    library.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    library.msync.argtypes = (ctypes.c_void_p, ctypes.c_size_t, number)
    library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return library


@contextlib.contextmanager
def _mapped(library: Any, file: Path) -> Iterator[tuple[int | None, int]]:
    """Address (None if mapping fails) and size in bytes of a mapping that is not read."""
    size = file.stat().st_size
    if not size:
        yield None, 0
        return
    descriptor = os.open(file, os.O_RDONLY)
    try:
        address = library.mmap(None, size, _READ, _SHARED, descriptor, 0)
    finally:
        os.close(descriptor)
    if address is None or address == ctypes.c_void_p(-1).value:
        yield None, size
        return
    try:
        yield address, size
    finally:
        library.munmap(address, size)
