"""Looks at the machine while figures are taken: a light thread in the parent.

A moment before and a moment after miss what comes and goes between: another program that worked
for a minute, a machine that got hot and cooled down again. Every few seconds a :class:`Sample` is
taken, which costs some milliseconds; :func:`conditions_during` makes conditions of them.

The load average cannot be used here, since it counts our own worker. What other programs did is
the processors' busy time less that of our process tree.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

from qualification.core.results import Condition
from qualification.machine.conditions import (
    MAX_LOAD_SHARE,
    UNKNOWN,
    conditions_after,
    conditions_between,
    counters,
    pressure_condition,
    pressure_level,
    thermal_condition,
    thermal_level,
    throttle_condition,
)
from qualification.machine.host import CpuTimes, Host, LocalHost
from qualification.machine.nvidia import nvidia_gpus

PERIOD_S = 5.0
"""Between two samples: at most one a second is asked for, and heat does not come faster."""


@dataclass(frozen=True)
class Sample:
    """One look. ``own_s`` is processor time in seconds by process; ``None`` is unknown."""

    cpu: CpuTimes | None
    own_s: dict[int, float] = field(default_factory=dict)
    thermal: int | None = None
    pressure: int = 0
    gpu_limits: int | None = None


def look(host: Host, own: Callable[[], dict[int, float]]) -> Sample:
    """Take a sample now."""
    cpu, own_s = host.cpu_times(), own()
    if host.system == "macos":
        level = thermal_level(host, helper=False)
        return Sample(cpu, own_s, level, pressure_level(host))
    limits = None
    # Through the driver's library only: starting nvidia-smi takes longer than a sample may.
    if host.nvml() is not None:
        for gpu in nvidia_gpus(host):
            if gpu.clock_limits is not None:
                limits = (limits or 0) | gpu.clock_limits
    return Sample(cpu, own_s, gpu_limits=limits)


def own_seconds() -> dict[int, float]:
    """Processor seconds of this process and its descendants, by process id.

    With those of the children that have ended and were waited for, where the system tells them.
    """
    found = {}
    this = psutil.Process(os.getpid())
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has ended
            continue
        found[process.pid] = float(
            times.user + times.system + times.children_user + times.children_system
        )
    return found


def conditions_during(samples: Sequence[Sample]) -> tuple[Condition, ...]:
    """What was seen: the mean of other work, the worst of everything else."""
    found = [_other_work(samples)]
    if levels := [one.thermal for one in samples if one.thermal is not None]:
        found.append(thermal_condition("thermal_in_the_run", max(levels)))
    if pressures := [one.pressure for one in samples if one.pressure]:
        found.append(pressure_condition("memory_pressure_in_the_run", max(pressures)))
    seen = [one.gpu_limits for one in samples if one.gpu_limits is not None]
    if seen:
        together = 0
        for limits in seen:
            together |= limits
        found.append(throttle_condition("gpu_throttle_in_the_run", together))
    return tuple(found)


def _other_work(samples: Sequence[Sample]) -> Condition:
    name = "load_in_the_run"
    shares = []
    others = total = 0.0
    for before, after in itertools.pairwise(samples):
        if before.cpu is None or after.cpu is None or after.cpu.total <= before.cpu.total:
            continue
        ours = sum(
            max(0.0, seconds - before.own_s.get(pid, 0.0)) for pid, seconds in after.own_s.items()
        )
        elapsed = after.cpu.total - before.cpu.total
        other = max(0.0, after.cpu.busy - before.cpu.busy - ours)
        others += other
        total += elapsed
        shares.append(min(1.0, other / elapsed))
    if not total:
        return Condition(name, UNKNOWN)
    share = min(1.0, others / total)
    value = f"{share:.0%} of the cores by other work, {max(shares):.0%} at its most"
    fit = share <= MAX_LOAD_SHARE
    note = "" if fit else f"over {MAX_LOAD_SHARE:.0%} of the cores: other work is running"
    return Condition(name, value, fit, note)


class Watch:
    """Takes a sample now, every ``period_s`` seconds, and when it is stopped."""

    def __init__(
        self,
        host: Host | None = None,
        own: Callable[[], dict[int, float]] = own_seconds,
        period_s: float = PERIOD_S,
    ) -> None:
        self._host = host or LocalHost()
        self._own = own
        self._period_s = period_s
        self._found: tuple[Condition, ...] | None = None
        self._counters = counters(self._host)
        self._samples = [look(self._host, own)]
        self._stopped = threading.Event()
        # A daemon: a run that is torn down must not wait for it.
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> tuple[Condition, ...]:
        """End the thread; what was seen during and is seen after. A second call says the same."""
        if self._found is None:
            self._stopped.set()
            self._thread.join()
            self._samples.append(look(self._host, self._own))
            self._found = (
                *conditions_between(self._counters, counters(self._host)),
                *conditions_during(self._samples),
                *conditions_after(self._host),
            )
        return self._found

    def _run(self) -> None:
        while not self._stopped.wait(self._period_s):
            self._samples.append(look(self._host, self._own))
