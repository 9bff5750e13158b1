"""Samples the machine's state while figures are taken, in a light thread of the parent.

Readings before and after a run miss what comes and goes between: another program that worked for a
minute, a machine that got hot and cooled down again. A :class:`MonitorSample` is taken every few
seconds, which costs some milliseconds; :func:`conditions_during` turns samples into conditions.

The load average cannot be used here, because it includes our own worker. The work of other
programs is the processors' busy time minus that of our process tree.
"""

from __future__ import annotations

import functools
import itertools
import operator
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
"""Seconds between two samples: machines do not heat up faster."""


@dataclass(frozen=True)
class MonitorSample:
    """One reading. ``own_s``: processor seconds of our processes by pid; ``None``: unknown."""

    cpu: CpuTimes | None
    own_s: dict[int, float] = field(default_factory=dict)
    thermal: int | None = None
    pressure: int = 0
    gpu_limits: int | None = None


def take_sample(host: Host, cpu_seconds: Callable[[], dict[int, float]]) -> MonitorSample:
    """Read the state now; ``cpu_seconds`` gives the processor time of our own processes."""
    cpu, own_s = host.cpu_times(), cpu_seconds()
    if host.system == "macos":
        level = thermal_level(host, helper=False)
        return MonitorSample(cpu, own_s, level, pressure_level(host))
    limits = None
    # NVML only: starting nvidia-smi takes longer than a sample may.
    if host.nvml() is not None:
        for gpu in nvidia_gpus(host):
            if gpu.clock_limits is not None:
                limits = (limits or 0) | gpu.clock_limits
    return MonitorSample(cpu, own_s, gpu_limits=limits)


def own_seconds() -> dict[int, float]:
    """Processor seconds of this process and its descendants, by process id.

    They include those of children that have ended and were waited for, where the system says so.
    """
    seconds = {}
    this = psutil.Process(os.getpid())
    for process in (this, *this.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:  # it has ended
            continue
        seconds[process.pid] = float(
            times.user + times.system + times.children_user + times.children_system
        )
    return seconds


def conditions_during(samples: Sequence[MonitorSample]) -> tuple[Condition, ...]:
    """The samples as conditions: the mean of other work, the worst of everything else."""
    conditions = [_other_work(samples)]
    if levels := [sample.thermal for sample in samples if sample.thermal is not None]:
        conditions.append(thermal_condition("thermal_in_the_run", max(levels)))
    if pressures := [sample.pressure for sample in samples if sample.pressure]:
        conditions.append(pressure_condition("memory_pressure_in_the_run", max(pressures)))
    if limits := [sample.gpu_limits for sample in samples if sample.gpu_limits is not None]:
        union = functools.reduce(operator.or_, limits)
        conditions.append(throttle_condition("gpu_throttle_in_the_run", union))
    return tuple(conditions)


def _other_work(samples: Sequence[MonitorSample]) -> Condition:
    name = "load_in_the_run"
    shares = []
    other_s = total_s = 0.0
    for before, after in itertools.pairwise(samples):
        if before.cpu is None or after.cpu is None or after.cpu.total <= before.cpu.total:
            continue
        ours_s = sum(
            max(0.0, seconds - before.own_s.get(pid, 0.0)) for pid, seconds in after.own_s.items()
        )
        elapsed_s = after.cpu.total - before.cpu.total
        # The kernel's counters and those of our processes disagree by a tick: never below zero.
        interval_other_s = max(0.0, after.cpu.busy - before.cpu.busy - ours_s)
        other_s += interval_other_s
        total_s += elapsed_s
        shares.append(min(1.0, interval_other_s / elapsed_s))
    if not total_s:
        return Condition(name, UNKNOWN)
    share = min(1.0, other_s / total_s)
    value = f"{share:.0%} of the cores by other work, {max(shares):.0%} at its most"
    fit = share <= MAX_LOAD_SHARE
    note = "" if fit else f"over {MAX_LOAD_SHARE:.0%} of the cores: other work is running"
    return Condition(name, value, fit, note)


class Monitor:
    """Takes a sample at once, every ``period_s`` seconds, and when it is stopped."""

    def __init__(
        self,
        host: Host | None = None,
        cpu_seconds: Callable[[], dict[int, float]] = own_seconds,
        period_s: float = PERIOD_S,
    ) -> None:
        self._host = host or LocalHost()
        self._cpu_seconds = cpu_seconds
        self._period_s = period_s
        self._conditions: tuple[Condition, ...] | None = None
        self._counters = counters(self._host)
        self._samples = [take_sample(self._host, cpu_seconds)]
        self._stopped = threading.Event()
        # A daemon: a run that is torn down must not wait for it.
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._thread.start()

    def stop(self) -> tuple[Condition, ...]:
        """End the thread; returns the conditions during and after. A second call repeats them."""
        if self._conditions is None:
            self._stopped.set()
            self._thread.join()
            self._samples.append(take_sample(self._host, self._cpu_seconds))
            self._conditions = (
                *conditions_between(self._counters, counters(self._host)),
                *conditions_during(self._samples),
                *conditions_after(self._host),
            )
        return self._conditions

    def _run(self) -> None:
        while not self._stopped.wait(self._period_s):
            self._samples.append(take_sample(self._host, self._cpu_seconds))
