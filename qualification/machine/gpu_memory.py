"""GPU memory that the NVIDIA driver reports for a set of processes, by NVML; used by the worker.

The driver reports the current size and not the peak (its accounting mode does, but only an
administrator can switch it on). So it is sampled after every load and every answer, before
anything is freed: libraries that never return memory to the driver (torch, MLX) are then at their
peak.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any


class DevicePeak:
    """The most bytes sampled so far on all GPUs; 0 without NVIDIA's library, driver or an entry.

    ``library`` is the ``pynvml`` module (nvidia-ml-py). In a container the driver may know the
    process by another id than the process itself; then there is no entry, and no figure.
    ``pids`` gives the processes to count at each sample, for a tree that changes; the default is
    ``pid``, or this process.
    """

    def __init__(
        self,
        library: Any = None,
        pid: int | None = None,
        pids: Callable[[], Iterable[int]] | None = None,
    ) -> None:
        self.bytes = 0
        only = os.getpid() if pid is None else pid
        self._pids = pids or (lambda: (only,))
        self._library = _nvml() if library is None else library

    def sample(self) -> int:
        """Ask the driver now; returns the current bytes on all GPUs."""
        handles = self._handles()
        pids = frozenset(self._pids()) if handles else frozenset()
        size = sum(self._bytes_on(handle, pids) for handle in handles)
        self.bytes = max(self.bytes, size)
        return size

    def _handles(self) -> list[Any]:
        library = self._library
        if library is None:
            return []
        try:
            count = library.nvmlDeviceGetCount()
            return [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except Exception:  # the package has its own error types; a broken driver can raise any
            return []

    def _bytes_on(self, handle: Any, pids: frozenset[int]) -> int:
        """On one GPU. A process with both kinds of work is in both lists with the same figure."""
        library = self._library
        processes = [
            *_listed(library.nvmlDeviceGetComputeRunningProcesses, handle),
            *_listed(library.nvmlDeviceGetGraphicsRunningProcesses, handle),
        ]
        sizes: dict[int, int] = {}
        for process in processes:
            if process.pid in pids:
                # None where the driver does not say (Windows, some virtual GPUs).
                size = int(process.usedGpuMemory or 0)
                sizes[process.pid] = max(sizes.get(process.pid, 0), size)
        return sum(sizes.values())


def _listed(function: Callable[[Any], Any], handle: Any) -> list[Any]:
    try:
        return list(function(handle))
    except Exception:  # not supported on this GPU
        return []


def _nvml() -> Any:
    try:
        library = importlib.import_module("pynvml")
        library.nvmlInit()
    except Exception:  # neither the package nor a driver is needed for anything else
        return None
    return library
