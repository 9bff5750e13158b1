"""The one seam through which this computer is read, so that a Mac can be tested from recordings.

``LocalHost`` is the real one; the tests replay transcripts. A reading that is not available is
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

from qualification.core.child_variables import child_variables

COMMAND_SECONDS = 20.0
"""``system_profiler`` takes seconds on a cold cache; all other commands answer at once."""

_COUNT = re.compile(r"-?\d+")


@dataclass(frozen=True)
class CpuTimes:
    """Seconds since boot, summed over cores: busy, taken by the hypervisor, and in total."""

    busy: float
    stolen: float
    total: float


class Host(Protocol):
    """The readings of a computer that the probe and the preconditions use."""

    @property
    def system(self) -> str:
        """``macos``, ``linux``, or the lower-case name of another system."""
        ...

    @property
    def architecture(self) -> str:
        """This interpreter's architecture: ``arm64`` or ``x86_64``, for example."""
        ...

    @property
    def cpu_cores(self) -> int:
        """Cores that this process may use."""
        ...

    @property
    def online_cores(self) -> int:
        """Cores of the whole computer, to which load average and processor times refer."""
        ...

    @property
    def load_average(self) -> float | None:
        """The load average of the last minute."""
        ...

    def run(self, *command: str) -> str | None:
        """Standard output, whatever the exit code; ``None`` if the command cannot run in time."""
        ...

    def read(self, path: str) -> str | None:
        """The text of a small file; ``None`` if it cannot be read."""
        ...

    def find(self, pattern: str) -> tuple[str, ...]:
        """Paths that match a shell pattern, sorted."""
        ...

    def cpu_times(self) -> CpuTimes | None:
        """Counters; their growth over a pause shows how busy the computer is."""
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
                env={**child_variables("library"), "LC_ALL": "C"},
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
        except Exception:  # the package has its own error types; a broken one can raise any
            return None
        return pynvml


def first_count(text: str | None) -> int:
    """The first whole number in a reading; 0, which means "unknown", if there is none."""
    match = _COUNT.search(text or "")
    return int(match.group()) if match else 0
