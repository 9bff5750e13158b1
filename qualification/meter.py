"""Clocks and the page cache, inside the worker: every time is ``time.perf_counter`` in seconds.

macOS answers the same calls as Linux here (``mmap``, ``mincore``, ``msync`` of its manual pages),
so there is one code for both; it has run on Linux only, see docs/not-run-on-a-mac.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from qualification.records import Phases

clock = time.perf_counter

COLD_SHARE, WARM_SHARE = 0.01, 0.99
"""Of the files' pages in memory: under the first a load is cold, from the second on it is warm."""

_READ, _SHARED, _INVALIDATE = mmap.PROT_READ, mmap.MAP_SHARED, 2  # MS_INVALIDATE on both systems


class TokenClock:
    """Notes when each token of one request came, with the device synchronised.

    ``synchronise`` waits until the device has finished; backends whose next token is only known
    after a copy to the host pass nothing: that copy has waited for this token, and waiting for
    all would also wait for the next token, which such libraries have begun already.
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


class PhaseClock:
    """Notes the parts of one request's time to first token; see :class:`records.Phases`.

    ``synchronise`` waits until the device has finished, at the beginning and end of each part, so
    that work which was only queued is counted where it belongs. That perturbs the request.
    """

    def __init__(self, started: float, synchronise: Callable[[], object] | None = None) -> None:
        self._started = started
        self._synchronise = synchronise
        self._preprocess_s: float | None = None
        self._spans: dict[str, float] = {}

    def preprocessed(self) -> None:
        """All that comes before the first model is done; only the first call counts."""
        if self._preprocess_s is None:
            self._now()
            self._preprocess_s = clock() - self._started

    def begin(self) -> float:
        """The time now, with the device idle; what :meth:`add` wants as ``since``."""
        self._now()
        return clock()

    def add(self, part: str, since: float, until: float | None = None) -> None:
        """Add the time since ``since`` to ``vision_encode_s`` or ``prefill_s``.

        Until the device is idle, or until a moment that was noted before.
        """
        if until is None:
            self._now()
            until = clock()
        self._spans[part] = self._spans.get(part, 0.0) + until - since

    @contextlib.contextmanager
    def span(self, part: str) -> Iterator[None]:
        """Add what happens inside to ``vision_encode_s`` or ``prefill_s``."""
        since = self.begin()
        yield
        self.add(part, since)

    def phases(self) -> Phases:
        """The parts that were seen."""
        spans = self._spans
        return Phases(self._preprocess_s, spans.get("vision_encode_s"), spans.get("prefill_s"))

    def _now(self) -> None:
        if self._synchronise is not None:
            self._synchronise()


def page_cache(files: Iterable[Path], system: Any = None) -> str:
    """``warm`` or ``cold`` as ``mincore`` sees the files' pages, else ``unknown``.

    Warm: 99 % or more of the pages are resident; cold: less than 1 %. ``system`` stands in for the
    C library in tests.
    """
    library = system or _library()
    resident = total = 0
    for file in files:
        if file.stat().st_uid != os.geteuid() and not os.access(file, os.W_OK):
            return "unknown"  # to anyone else Linux says that every page is resident
        with _mapped(library, file) as (address, size):
            if not size:
                continue
            pages = -(-size // mmap.PAGESIZE)
            flags = ctypes.create_string_buffer(pages)
            if address is None or library.mincore(address, size, flags) != 0:
                return "unknown"
            # The lowest bit is "resident" on both systems; macOS tells more in the others.
            resident += sum(flag & 1 for flag in flags.raw)
            total += pages
    if not total:
        return "unknown"
    share = resident / total
    return "warm" if share >= WARM_SHARE else "cold" if share < COLD_SHARE else "unknown"


def drop_pages(files: Iterable[Path], system: Any = None) -> None:
    """Ask the system to forget the files' pages; :func:`page_cache` says whether it did.

    Linux: ``posix_fadvise(DONTNEED)``, which keeps pages that are dirty or mapped somewhere.
    macOS has no such call: ``msync(MS_INVALIDATE)`` on a shared mapping, as fio does.
    """
    library = system or _library()
    for file in files:
        with file.open("rb") as opened:
            if hasattr(os, "posix_fadvise"):
                # Dirty pages stay, so what was only just written is written out first.
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
    """Address (None where it cannot be had) and size in bytes of a mapping that is not touched."""
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
