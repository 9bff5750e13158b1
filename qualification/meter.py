"""Clocks and the page cache, inside the worker: every time is ``time.perf_counter`` in seconds."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

clock = time.perf_counter


class TokenClock:
    """Notes when each token of one request came, with the device synchronised.

    ``synchronise`` waits until the device has finished; backends whose next token is only known
    after a copy to the host pass nothing.
    """

    def __init__(self, synchronise: Callable[[], object] | None = None) -> None:
        self._synchronise = synchronise
        self.started = clock()
        self.times_s: list[float] = []

    def tick(self) -> None:
        """One more token is there."""
        if self._synchronise is not None:
            self._synchronise()
        self.times_s.append(clock() - self.started)

    def elapsed_s(self) -> float:
        """Seconds since the request started."""
        return clock() - self.started


def page_cache(files: Iterable[Path]) -> str:
    """``warm`` or ``cold`` as ``mincore`` sees the files' pages, else ``unknown`` (Linux only).

    Warm: 99 % or more of the pages are resident; cold: less than 1 %.
    """
    if not sys.platform.startswith("linux"):
        return "unknown"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    flag = ctypes.c_int
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, flag, flag, flag, ctypes.c_long)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    page = os.sysconf("SC_PAGESIZE")
    resident = total = 0
    for file in files:
        size = file.stat().st_size
        if not size:
            continue
        if file.stat().st_uid != os.geteuid() and not os.access(file, os.W_OK):
            return "unknown"  # to anyone else Linux says that every page is resident
        pages = -(-size // page)
        descriptor = os.open(file, os.O_RDONLY)
        try:
            prot_read, map_shared = 1, 1
            address = libc.mmap(None, size, prot_read, map_shared, descriptor, 0)
        finally:
            os.close(descriptor)
        if address is None or address == ctypes.c_void_p(-1).value:
            return "unknown"
        flags = (ctypes.c_ubyte * pages)()
        seen = libc.mincore(address, size, flags)
        libc.munmap(address, size)
        if seen != 0:
            return "unknown"
        resident += sum(flag & 1 for flag in flags)
        total += pages
    if not total:
        return "unknown"
    share = resident / total
    return "warm" if share >= 0.99 else "cold" if share < 0.01 else "unknown"
