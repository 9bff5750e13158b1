"""What the NVIDIA driver has given some processes, by NVML; used by the worker.

The driver tells what is held now, not the most that ever was (its accounting mode does, but takes
an administrator to switch on). So it is asked after every load and every answer, before anything
is given back: libraries that keep what they once took (torch, MLX) are then at their peak.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any


class DevicePeak:
    """The most bytes seen so far on all GPUs; 0 without NVIDIA's library, driver or an entry.

    ``library`` is the ``pynvml`` module (nvidia-ml-py). In a container the driver may know the
    process by another number than it does itself; then there is no entry, and no figure.
    ``pids`` says at each look which processes count, for a tree that changes; without it that is
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

    def look(self) -> int:
        """Ask the driver now; returns what is held now, in bytes."""
        handles = self._handles()
        ours = frozenset(self._pids()) if handles else frozenset()
        held = sum(self._held(handle, ours) for handle in handles)
        self.bytes = max(self.bytes, held)
        return held

    def _handles(self) -> list[Any]:
        library = self._library
        if library is None:
            return []
        try:
            count = library.nvmlDeviceGetCount()
            return [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
        except Exception:  # the package has error types of its own, and a broken driver any
            return []

    def _held(self, handle: Any, pids: frozenset[int]) -> int:
        """On one GPU. A process with both kinds of work is in both lists with the same figure."""
        library = self._library
        listed = [
            *_asked(library.nvmlDeviceGetComputeRunningProcesses, handle),
            *_asked(library.nvmlDeviceGetGraphicsRunningProcesses, handle),
        ]
        # None where the driver keeps it to itself (Windows, some virtual GPUs).
        held: dict[int, int] = {}
        for one in listed:
            if one.pid in pids:
                held[one.pid] = max(held.get(one.pid, 0), int(one.usedGpuMemory or 0))
        return sum(held.values())


def _asked(function: Callable[[Any], Any], handle: Any) -> list[Any]:
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
