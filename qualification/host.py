"""The one seam through which this computer is read, so that a Mac can be tested from recordings.

``LocalHost`` is the real one; the tests replay transcripts. A reading that cannot be had is
``None`` and never a guess. Nothing here raises because a command or a file is missing.
"""

from __future__ import annotations

import glob
import importlib
import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from typing import Any, Protocol

COMMAND_SECONDS = 20.0
"""``system_profiler`` takes seconds on a cold cache; everything else answers at once."""

_COUNT = re.compile(r"-?\d+")


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since boot, summed over cores: at work, taken by the hypervisor, and in all."""

    busy: float
    stolen: float
    total: float


class Host(Protocol):
    """What the probe and the preconditions may ask of a computer."""

    @property
    def system(self) -> str:
        """``macos``, ``linux``, or what ``platform.system`` says, in small letters."""
        ...

    @property
    def architecture(self) -> str:
        """Of this interpreter: ``arm64`` or ``x86_64``, for example."""
        ...

    @property
    def cpu_cores(self) -> int:
        """Cores that this process may use."""
        ...

    @property
    def online_cores(self) -> int:
        """Cores of the whole computer: what the load average and the processor times are over."""
        ...

    @property
    def load_average(self) -> float | None:
        """Of the last minute."""
        ...

    def run(self, *command: str) -> str | None:
        """Standard output, whatever the exit code; ``None`` where it cannot be run in time."""
        ...

    def read(self, path: str) -> str | None:
        """The text of a small file; ``None`` where it cannot be read."""
        ...

    def find(self, pattern: str) -> tuple[str, ...]:
        """Paths that match a shell pattern, sorted."""
        ...

    def cpu_times(self) -> CpuTimes | None:
        """Counters whose growth over a pause says how busy the computer is."""
        ...

    def pause(self, seconds: float) -> None:
        """Do nothing for a while."""
        ...

    def nvml(self) -> Any | None:
        """The ``pynvml`` module, initialised; ``None`` without the package or a driver."""
        ...


class LocalHost:
    """This computer."""

    @property
    def system(self) -> str:
        """See :class:`Host`."""
        name = platform.system().lower()
        return "macos" if name == "darwin" else name

    @property
    def architecture(self) -> str:
        """See :class:`Host`."""
        return platform.machine()

    @property
    def cpu_cores(self) -> int:
        """See :class:`Host`."""
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
        return len(affinity(0)) if affinity else os.cpu_count() or 1

    @property
    def online_cores(self) -> int:
        """See :class:`Host`."""
        return os.cpu_count() or 1

    @property
    def load_average(self) -> float | None:
        """See :class:`Host`."""
        try:
            return os.getloadavg()[0]
        except OSError:
            return None

    def run(self, *command: str) -> str | None:
        """See :class:`Host`. English output, because it is parsed."""
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=COMMAND_SECONDS,
                check=False,
                env={**os.environ, "LC_ALL": "C"},
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", errors="replace")

    def read(self, path: str) -> str | None:
        """See :class:`Host`."""
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def find(self, pattern: str) -> tuple[str, ...]:
        """See :class:`Host`."""
        return tuple(sorted(glob.glob(pattern)))

    def cpu_times(self) -> CpuTimes | None:
        """See :class:`Host`. Guest time is already in user time, so it is not added again."""
        psutil: Any = importlib.import_module("psutil")
        try:
            times = psutil.cpu_times()
        except (OSError, RuntimeError):
            return None
        stolen = float(getattr(times, "steal", 0.0))
        waiting = times.idle + float(getattr(times, "iowait", 0.0))
        total = sum(times) - sum(getattr(times, name, 0.0) for name in ("guest", "guest_nice"))
        return CpuTimes(busy=total - waiting - stolen, stolen=stolen, total=total)

    def pause(self, seconds: float) -> None:
        """See :class:`Host`."""
        time.sleep(seconds)

    def nvml(self) -> Any | None:
        """See :class:`Host`. The package may be there without a driver: that is ``None`` too."""
        try:
            pynvml: Any = importlib.import_module("pynvml")
            pynvml.nvmlInit()
        except Exception:  # the package has its own error types, and a broken one has any
            return None
        return pynvml


def first_count(text: str | None) -> int:
    """The first whole number in a reading; 0 where there is none, since 0 means "unknown"."""
    found = _COUNT.search(text or "")
    return int(found.group()) if found else 0


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU as its driver tells it; ``None`` where the driver would not say."""

    name: str
    memory_bytes: int = 0
    busy_percent: int | None = None
    clock_limits: int | None = None


_SMI_LIMITS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")


def nvidia_gpus(host: Host) -> tuple[Gpu, ...]:
    """The NVIDIA GPUs through NVML, else through ``nvidia-smi``; empty where there is neither."""
    library = host.nvml()
    if library is not None:
        found = _from_nvml(library)
        if found:
            return found
    for limits in _SMI_LIMITS:  # renamed in driver 535
        query = f"--query-gpu=name,memory.total,utilization.gpu,{limits}"
        text = host.run("nvidia-smi", query, "--format=csv,noheader,nounits")
        if text is None:
            return ()
        found = _from_smi(text)
        if found:
            return found
    return ()


def _from_nvml(library: Any) -> tuple[Gpu, ...]:
    def ask(function: str, handle: Any) -> Any:
        try:
            return getattr(library, function)(handle)
        except Exception:  # not supported on this GPU, or unknown to this version of NVML
            return None

    try:
        handles = [
            library.nvmlDeviceGetHandleByIndex(index)
            for index in range(library.nvmlDeviceGetCount())
        ]
    except Exception:
        return ()
    gpus = []
    for handle in handles:
        name = ask("nvmlDeviceGetName", handle)
        memory = ask("nvmlDeviceGetMemoryInfo", handle)
        use = ask("nvmlDeviceGetUtilizationRates", handle)
        limits = ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        if limits is None:
            limits = ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        gpus.append(
            Gpu(
                name=name.decode() if isinstance(name, bytes) else str(name or "NVIDIA GPU"),
                memory_bytes=int(memory.total) if memory else 0,
                busy_percent=int(use.gpu) if use else None,
                clock_limits=None if limits is None else int(limits),
            )
        )
    return tuple(gpus)


def _from_smi(text: str) -> tuple[Gpu, ...]:
    gpus = []
    for line in text.splitlines():
        fields = [part.strip() for part in line.split(",")]
        if len(fields) != 4 or not fields[1].isdigit():
            continue  # "NVIDIA-SMI has failed because …", or a field that this driver lacks
        name, memory, use, limits = fields
        gpus.append(
            Gpu(
                name=name,
                memory_bytes=int(memory) * 2**20,
                busy_percent=int(use) if use.isdigit() else None,
                clock_limits=int(limits, 16) if limits.startswith("0x") else None,
            )
        )
    return tuple(gpus)
