"""Clocks and memory, inside the worker: what a figure means is fixed here.

Every time is ``time.perf_counter`` in seconds. Memory is the lifetime peak of this process as the
kernel keeps it; nothing is subtracted and nothing is sampled.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from qualification.records import MemoryReport

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


def peak_memory() -> MemoryReport:
    """Lifetime peak of this process: ``VmHWM`` on Linux, ``phys_footprint`` on macOS (bytes)."""
    if sys.platform == "darwin":
        return _macos_peak()
    status = Path("/proc/self/status").read_text()
    sizes = {}
    for line in status.splitlines():
        key, _, rest = line.partition(":")
        if key in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "VmSwap"):
            sizes[key] = int(rest.split()[0]) * 1024
    peak = sizes.pop("VmHWM")
    return MemoryReport(peak, "VmHWM", sizes)


class _RusageInfoV4(ctypes.Structure):
    """``struct rusage_info_v4`` of ``<sys/resource.h>`` (XNU)."""

    _fields_: ClassVar = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                "ri_user_time",
                "ri_system_time",
                "ri_pkg_idle_wkups",
                "ri_interrupt_wkups",
                "ri_pageins",
                "ri_wired_size",
                "ri_resident_size",
                "ri_phys_footprint",
                "ri_proc_start_abstime",
                "ri_proc_exit_abstime",
                "ri_child_user_time",
                "ri_child_system_time",
                "ri_child_pkg_idle_wkups",
                "ri_child_interrupt_wkups",
                "ri_child_pageins",
                "ri_child_elapsed_abstime",
                "ri_diskio_bytesread",
                "ri_diskio_byteswritten",
                "ri_cpu_time_qos_default",
                "ri_cpu_time_qos_maintenance",
                "ri_cpu_time_qos_background",
                "ri_cpu_time_qos_utility",
                "ri_cpu_time_qos_legacy",
                "ri_cpu_time_qos_user_initiated",
                "ri_cpu_time_qos_user_interactive",
                "ri_billed_system_time",
                "ri_serviced_system_time",
                "ri_logical_writes",
                "ri_lifetime_max_phys_footprint",
                "ri_instructions",
                "ri_cycles",
                "ri_billed_energy",
                "ri_serviced_energy",
                "ri_interval_max_phys_footprint",
                "ri_runnable_time",
            )
        ),
    )


def _macos_peak() -> MemoryReport:  # not run on a Mac yet: see docs/not-run-on-a-mac.md
    libc = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
    info = _RusageInfoV4()
    rusage_info_v4 = 4
    if libc.proc_pid_rusage(os.getpid(), rusage_info_v4, ctypes.byref(info)) != 0:
        raise OSError(ctypes.get_errno(), "proc_pid_rusage failed")
    return MemoryReport(
        int(info.ri_lifetime_max_phys_footprint),
        "phys_footprint",
        {
            "phys_footprint": int(info.ri_phys_footprint),
            "resident_size": int(info.ri_resident_size),
        },
    )


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
