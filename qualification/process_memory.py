"""What a process holds, by the kernel's own count; used by the worker's meter and its parent.

Linux: ``VmHWM`` and resident memory of ``/proc``. macOS: ``phys_footprint`` and its lifetime peak
by ``proc_pid_rusage``, because resident memory there misses the GPU's and compressed pages.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import ClassVar

from qualification.records import MemoryReport


def peak_memory() -> MemoryReport:
    """Lifetime peak of this process in bytes, nothing subtracted."""
    if sys.platform == "darwin":
        info = _macos_usage(os.getpid())
        return MemoryReport(
            int(info.ri_lifetime_max_phys_footprint),
            "phys_footprint",
            {
                "phys_footprint": int(info.ri_phys_footprint),
                "resident_size": int(info.ri_resident_size),
            },
        )
    sizes = _linux_status("self")
    peak = sizes.pop("VmHWM")
    return MemoryReport(peak, "VmHWM", sizes)


def held_bytes(pid: int) -> int:
    """Bytes that a process holds now (resident; on macOS its footprint), 0 if it has ended."""
    try:
        if sys.platform == "darwin":
            return int(_macos_usage(pid).ri_phys_footprint)
        return _linux_status(str(pid)).get("VmRSS", 0)
    except OSError:
        return 0


def _linux_status(process: str) -> dict[str, int]:
    sizes = {}
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "VmSwap"):
            sizes[key] = int(rest.split()[0]) * 1024
    return sizes


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


def _macos_usage(pid: int) -> _RusageInfoV4:  # not run on a Mac: see docs/not-run-on-a-mac.md
    library = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
    info = _RusageInfoV4()
    rusage_info_v4 = 4
    if library.proc_pid_rusage(pid, rusage_info_v4, ctypes.byref(info)) != 0:
        raise OSError(ctypes.get_errno(), "proc_pid_rusage failed")
    return info
