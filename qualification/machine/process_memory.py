"""Memory of processes, by the kernel's own count; used by the worker and by its parent.

Linux: ``VmHWM`` and resident memory from ``/proc``. macOS: ``phys_footprint`` and its lifetime peak
from ``proc_pid_rusage``, because resident memory there omits the GPU's and compressed pages.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from qualification.core.protocol import MemoryReport


def peak_memory() -> MemoryReport:
    """Lifetime peak of this process and its descendants in bytes, nothing subtracted.

    Linux: the sum of every process's ``VmHWM``. The processes need not have peaked at the same
    time, so with descendants the sum can only be too high; one that has ended is not included.
    macOS: this process alone.
    """
    if sys.platform == "darwin":
        return _macos_report(_macos_usage(os.getpid()))
    sizes = _linux_status("self")
    own_peak = sizes.pop("VmHWM")
    peaks = [peak for pid in linux_descendants(os.getpid()) if (peak := _peak_of(pid))]
    sizes |= _linux_cgroup_peak()
    if peaks:
        sizes |= {"own_VmHWM": own_peak, "descendants": len(peaks)}
    return MemoryReport(own_peak + sum(peaks), "VmHWM", sizes)


def peak_memory_of(pids: Sequence[int]) -> MemoryReport:
    """Sum of the lifetime peaks of other processes in bytes; the first process is the main one.

    The metric of ``peak_memory``, read from outside, on macOS for all of them too. A process that
    has ended is not included. ProcessLookupError if none could be read.
    """
    read = _macos_sizes if sys.platform == "darwin" else _linux_sizes
    metric = "phys_footprint" if sys.platform == "darwin" else "VmHWM"
    processes = [sizes for sizes in map(read, pids) if sizes is not None]
    if not processes:
        raise ProcessLookupError(f"none of the processes {list(pids)} can be read")
    peaks = [sizes.pop("peak") for sizes in processes]
    details: dict[str, int] = {}
    for sizes in processes:
        for name, size in sizes.items():
            details[name] = details.get(name, 0) + size
    if len(processes) > 1:
        details |= {f"own_{metric}": peaks[0], "descendants": len(processes) - 1}
    return MemoryReport(sum(peaks), metric, details)


def _linux_sizes(pid: int) -> dict[str, int] | None:
    try:
        sizes = _linux_status(str(pid))
    except OSError:
        return None
    if "VmHWM" not in sizes:  # a zombie: it has ended and was not waited for
        return None
    return {"peak": sizes.pop("VmHWM")} | sizes


def _macos_sizes(pid: int) -> dict[str, int] | None:
    try:
        report = _macos_report(_macos_usage(pid))
    except OSError:
        return None
    return {"peak": report.peak_memory_bytes} | report.details


def held_bytes(pid: int) -> int:
    """Current bytes of a process (resident; on macOS its footprint), 0 if it has ended."""
    try:
        if sys.platform == "darwin":
            return int(_macos_usage(pid).ri_phys_footprint)
        return _linux_status(str(pid)).get("VmRSS", 0)
    except OSError:
        return 0


def linux_descendants(pid: int, proc: Path = Path("/proc")) -> tuple[int, ...]:
    """Children of a process, their children and so on, from the parents in ``/proc/<pid>/stat``."""
    children: dict[int, list[int]] = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(errors="replace")
        except OSError:  # it has ended
            continue
        # The name, in brackets, may contain anything; the parent is the second field after it.
        fields = text.rpartition(")")[2].split()
        if len(fields) > 1:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    descendants: list[int] = []
    waiting = [pid]
    while waiting:
        offspring = children.get(waiting.pop(), [])
        descendants += offspring
        waiting += offspring
    return tuple(descendants)


def _peak_of(pid: int) -> int:
    try:
        return _linux_status(str(pid)).get("VmHWM", 0)
    except OSError:
        return 0


def _linux_cgroup_peak(root: Path = Path("/sys/fs/cgroup")) -> dict[str, int]:
    """``memory.peak`` of this process's control group: all its processes, page cache included.

    Version 2 only; {} if the group is the root's or the kernel is older than 5.19.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        (group,) = [line[3:].lstrip("/") for line in lines if line.startswith("0::")]
        return {"cgroup_peak": int((root / group / "memory.peak").read_text())}
    except (OSError, ValueError):
        return {}


def _linux_status(process: str) -> dict[str, int]:
    sizes = {}
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        key, _, value = line.partition(":")
        if key in ("VmHWM", "VmRSS", "RssAnon", "RssFile", "VmSwap"):
            sizes[key] = int(value.split()[0]) * 1024
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


def macos_usage_of(recorded: bytes) -> MemoryReport:
    """The report of a buffer that ``proc_pid_rusage(RUSAGE_INFO_V4)`` filled.

    ValueError if it is shorter than the structure.
    """
    return _macos_report(_RusageInfoV4.from_buffer_copy(recorded))


def _macos_report(info: _RusageInfoV4) -> MemoryReport:
    return MemoryReport(
        int(info.ri_lifetime_max_phys_footprint),
        "phys_footprint",
        {
            "phys_footprint": int(info.ri_phys_footprint),
            "resident_size": int(info.ri_resident_size),
        },
    )


def _macos_usage(pid: int) -> _RusageInfoV4:  # not run on a Mac: see docs/not-run-on-a-mac.md
    library = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
    info = _RusageInfoV4()
    rusage_info_v4 = 4
    if library.proc_pid_rusage(pid, rusage_info_v4, ctypes.byref(info)) != 0:
        raise OSError(ctypes.get_errno(), "proc_pid_rusage failed")
    return info
