"""The state of the machine while a figure was measured, and whether that state is fit.

``preconditions`` reads one moment and must be called before our own work begins, because the load
average remembers that work. ``counters`` before and after a run give ``conditions_between``, which
shows what a moment cannot: swap that grew, processor time that a hypervisor took.
``conditions_after`` reads once more what may have changed; :mod:`qualification.machine.monitor`
samples while figures are taken.

Every :class:`Condition` has a value in words. A reading that is not available is "unknown", counts
as fit, and is never guessed. The limits (heavy thermal level, battery, low power, swap growth over
100 MB, steal over 1 %, load over 25 % of the cores) are those of docs/measuring.md ("Conditions and
their limits"); the operating system's sensors may still say "nominal" while a machine throttles, so
the drift test decides.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from qualification.core.format import bytes_text
from qualification.core.results import Condition
from qualification.machine.host import CpuTimes, Host, LocalHost, first_count
from qualification.machine.nvidia import nvidia_gpus

MAX_LOAD_SHARE = 0.25
MAX_STEAL_SHARE = 0.01
MAX_SWAP_GROWTH = 100e6
MAX_GPU_BUSY_PERCENT = 25
SAMPLE_SECONDS = 1.0

UNKNOWN = "unknown"

THERMAL_HELPER = """\
import ctypes
system = ctypes.CDLL("/usr/lib/libSystem.B.dylib")
token, state = ctypes.c_int(), ctypes.c_uint64()
name = b"com.apple.system.thermalpressurelevel"
if system.notify_register_check(name, ctypes.byref(token)) == 0:
    if system.notify_get_state(token, ctypes.byref(state)) == 0:
        print(state.value)
"""
"""Run in a fresh process: one that has registered before may receive a stale level."""

# OSThermalNotification.h: the four pressure levels of macOS and the one before sleep.
_THERMAL = ("nominal", "moderate", "heavy", "trapping", "sleeping")
_PRESSURE = {1: "normal", 2: "warning", 4: "critical"}

# nvml.h, nvmlClocksEventReason…: bit, name, and whether it slows a measurement down.
_CLOCK_LIMITS = (
    (0x002, "application clocks", False),
    (0x004, "power cap", False),
    (0x008, "hardware slowdown", True),
    (0x010, "sync boost", False),
    (0x020, "thermal slowdown (software)", True),
    (0x040, "thermal slowdown (hardware)", True),
    (0x080, "power brake", True),
    (0x100, "display clocks", False),
)


@dataclass(frozen=True)
class Counters:
    """Readings that are compared between two moments; ``None`` if unknown."""

    swap_used_bytes: int | None
    cpu: CpuTimes | None
    throttle_events: int | None


def preconditions(host: Host | None = None) -> tuple[Condition, ...]:
    """The state of this machine now; takes about a second, as load and steal need two readings.

    The load is read first. Call it before starting any work of our own.
    """
    host = host or LocalHost()
    load = host.load_average  # before the commands below add to it
    before = host.cpu_times()
    host.pause(SAMPLE_SECONDS)
    after = host.cpu_times()
    readings = [_load(host, load, before, after)]
    checks = _MACOS if host.system == "macos" else _LINUX
    readings += [check(host) for check in checks]
    if host.system != "macos":
        readings += [
            _steal("steal", before, after, f" over {SAMPLE_SECONDS:.0f} s"),
            *_nvidia(host),
        ]
    return tuple(readings)


def conditions_after(host: Host | None = None) -> tuple[Condition, ...]:
    """Power, heat, memory and throttling after a run; not the load that our own work has left."""
    host = host or LocalHost()
    if host.system == "macos":
        checks: tuple[Callable[[Host], Condition], ...] = _MACOS[:4]
        conditions = [check(host) for check in checks]
    else:
        conditions = [check(host) for check in (_linux_power, _linux_low_power, _linux_memory)]
        conditions += [gpu for gpu in _nvidia(host) if gpu.name.startswith("gpu_throttle")]
    return tuple(replace(condition, name=f"{condition.name}_after") for condition in conditions)


def counters(host: Host | None = None) -> Counters:
    """The counters now; take them before and after a run for :func:`conditions_between`."""
    host = host or LocalHost()
    return Counters(_swap_used(host), host.cpu_times(), _throttle_events(host))


def conditions_between(before: Counters, after: Counters) -> tuple[Condition, ...]:
    """Events between two :func:`counters`: swap growth, steal, throttling."""
    conditions = []
    if before.swap_used_bytes is None or after.swap_used_bytes is None:
        conditions.append(Condition("swap_growth", UNKNOWN))
    else:
        growth = after.swap_used_bytes - before.swap_used_bytes
        fit = growth <= MAX_SWAP_GROWTH
        note = "" if fit else f"over {bytes_text(MAX_SWAP_GROWTH)}: memory ran short in the run"
        conditions.append(Condition("swap_growth", bytes_text(growth), fit, note))
    conditions.append(_steal("steal_in_the_run", before.cpu, after.cpu))
    if before.throttle_events is not None and after.throttle_events is not None:
        events = after.throttle_events - before.throttle_events
        note = "the processor slowed down to cool during the run" if events > 0 else ""
        conditions.append(Condition("throttling", f"{events} events", events <= 0, note))
    return tuple(conditions)


# --------------------------------------------------------------------------- any system


def _load(
    host: Host, average: float | None, before: CpuTimes | None, after: CpuTimes | None
) -> Condition:
    """Load average per core; work that has ended (an installation, for example) does not count.

    The average of a minute decays slowly: if it is over the limit but the cores were idle in the
    sample just taken, nothing competes with the run any more.
    """
    if average is None:
        return Condition("load", UNKNOWN)
    cores = max(1, host.online_cores)
    share = average / cores
    value = f"{average:.2f} on {cores} cores ({share:.0%})"
    if share <= MAX_LOAD_SHARE:
        return Condition("load", value)
    over = f"over {MAX_LOAD_SHARE:.0%} of the cores"
    elapsed = after.total - before.total if before and after else 0.0
    if before is None or after is None or elapsed <= 0:
        return Condition("load", value, False, f"{over}: other work is running")
    busy = (after.busy - before.busy) / elapsed
    sample = f"the processor was {busy:.0%} busy over the last {SAMPLE_SECONDS:.0f} s"
    if busy <= MAX_LOAD_SHARE:
        return Condition("load", value, True, f"{over}, but from work that has ended: {sample}")
    return Condition("load", value, False, f"{over}: other work is running ({sample})")


def _steal(name: str, before: CpuTimes | None, after: CpuTimes | None, over: str = "") -> Condition:
    elapsed = after.total - before.total if before and after else 0.0
    if before is None or after is None or elapsed <= 0:
        return Condition(name, UNKNOWN)
    share = max(0.0, after.stolen - before.stolen) / elapsed
    note = (
        ""
        if share <= MAX_STEAL_SHARE
        else "the hypervisor gave our processor time to other machines"
    )
    return Condition(name, f"{share:.1%}{over}", share <= MAX_STEAL_SHARE, note)


def _swap(host: Host) -> Condition:
    used = _swap_used(host)
    if used is None:
        return Condition("swap", UNKNOWN)
    note = "in use before the run; only growth during it counts" if used else ""
    return Condition("swap", f"{bytes_text(used)} in use", True, note)


def _swap_used(host: Host) -> int | None:
    if host.system == "macos":
        text = host.run("sysctl", "-n", "vm.swapusage") or ""
        match = re.search(r"used = ([0-9]+)[.,]([0-9]+)([KMGT])", text)
        if not match:
            return None
        scale: int = 1024 ** ("KMGT".index(match.group(3)) + 1)
        return round(float(f"{match.group(1)}.{match.group(2)}") * scale)
    text = host.read("/proc/meminfo") or ""
    sizes = dict(re.findall(r"^(Swap(?:Total|Free)):\s+([0-9]+) kB", text, re.MULTILINE))
    if len(sizes) < 2:
        return None
    return 1024 * (int(sizes["SwapTotal"]) - int(sizes["SwapFree"]))


# --------------------------------------------------------------------------- macOS


def _macos_power(host: Host) -> Condition:
    text = host.run("pmset", "-g", "batt") or ""
    source = re.search(r"Now drawing from '([^']+)'", text)
    if not source:
        return Condition("power", UNKNOWN)
    charge = re.search(r"(\d{1,3})%", text)
    level = f", {charge.group(1)} %" if charge else ""
    name = source.group(1)
    if name == "AC Power":
        return Condition("power", f"mains{level}")
    kind = "battery" if name == "Battery Power" else name
    return Condition("power", f"{kind}{level}", False, "connect the power adapter")


def _macos_low_power(host: Host) -> Condition:
    """``lowpowermode 1``, or ``powermode 1`` on systems that replaced it."""
    text = host.run("pmset", "-g") or ""
    match = re.search(r"^\s*lowpowermode\s+(\d+)", text, re.MULTILINE) or re.search(
        r"^\s*powermode\s+(\d+)", text, re.MULTILINE
    )
    if not match:
        return Condition("low_power_mode", UNKNOWN)
    on = match.group(1) == "1"
    note = "turn Low Power Mode off in System Settings" if on else ""
    return Condition("low_power_mode", "on" if on else "off", not on, note)


def _macos_thermal(host: Host) -> Condition:
    return thermal_condition("thermal", thermal_level(host))


def thermal_level(host: Host, *, helper: bool = True) -> int | None:
    """macOS's thermal pressure level; ``None`` if it cannot be read.

    Read by a fresh Python, else by ``notifyutil``; ``helper=False`` uses the latter only, which is
    a fresh process too and a much smaller one.
    """
    key = "com.apple.system.thermalpressurelevel"
    text = (host.run(sys.executable, "-c", THERMAL_HELPER) or "") if helper else ""
    if not text.strip().isdigit():
        text = host.run("notifyutil", "-g", key) or ""
    words = text.split()
    return int(words[-1]) if words and words[-1].isdigit() else None


def thermal_condition(name: str, level: int | None) -> Condition:
    """The condition for a :func:`thermal_level`: heavy and worse is unfit."""
    if level is None:
        return Condition(name, UNKNOWN)
    value = _THERMAL[level] if level < len(_THERMAL) else f"level {level}"
    note = {0: "", 1: "warm: watch the drift test"}.get(level, "let the machine cool down first")
    return Condition(name, value, level < 2, note)


def _macos_memory(host: Host) -> Condition:
    return pressure_condition("memory_pressure", pressure_level(host))


def pressure_level(host: Host) -> int:
    """macOS's memory pressure: 1 normal, 2 warning, 4 critical; 0 if it cannot be read."""
    return first_count(host.run("sysctl", "-n", "kern.memorystatus_vm_pressure_level"))


def pressure_condition(name: str, level: int) -> Condition:
    """The condition for a :func:`pressure_level`: critical is unfit."""
    value = _PRESSURE.get(level)
    if value is None:
        return Condition(name, UNKNOWN)
    return Condition(name, value, level < 4, "" if level == 1 else "close other applications")


# --------------------------------------------------------------------------- Linux


def _linux_power(host: Host) -> Condition:
    """From /sys/class/power_supply: mains if any mains supply is online, with a battery or not."""
    mains, discharging, charge = False, False, ""
    supplies = host.find("/sys/class/power_supply/*")
    for supply in supplies:
        kind = (host.read(f"{supply}/type") or "").strip()
        if kind in {"Mains", "USB"}:
            mains |= (host.read(f"{supply}/online") or "").strip() == "1"
        elif kind == "Battery" and (host.read(f"{supply}/scope") or "").strip() != "Device":
            discharging |= (host.read(f"{supply}/status") or "").strip() == "Discharging"
            level = (host.read(f"{supply}/capacity") or "").strip()
            charge = f", {level} %" if level else charge
    if discharging and not mains:
        return Condition("power", f"battery{charge}", False, "connect the power adapter")
    if mains:
        return Condition("power", f"mains{charge}")
    return Condition("power", UNKNOWN, note="" if supplies else "no power supply is visible")


def _linux_low_power(host: Host) -> Condition:
    profile = (host.read("/sys/firmware/acpi/platform_profile") or "").strip()
    if not profile:
        return Condition("low_power_mode", UNKNOWN)
    low = profile in {"low-power", "quiet"}
    note = f"the platform profile is {profile}" if low else ""
    return Condition("low_power_mode", f"{'on' if low else 'off'} ({profile})", not low, note)


def _linux_thermal(host: Host) -> Condition:
    events = _throttle_events(host)
    if events is None:
        return Condition("thermal", UNKNOWN)
    return Condition("thermal", f"throttled {events} times since start-up")


def _throttle_events(host: Host) -> int | None:
    """How often a package slowed down to cool since start-up; Intel processors count this."""
    pattern = "/sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count"
    texts = [host.read(path) for path in host.find(pattern)]
    return max((first_count(text) for text in texts if text), default=None)


def _linux_memory(host: Host) -> Condition:
    share = _stalled(host, "memory")
    if share is None:
        return Condition("memory_pressure", UNKNOWN)
    return Condition("memory_pressure", f"{share:.1f} % of the last 10 s waited for memory (PSI)")


def _linux_cpu_pressure(host: Host) -> Condition:
    share = _stalled(host, "cpu")
    if share is None:
        return Condition("cpu_pressure", UNKNOWN)
    return Condition("cpu_pressure", f"{share:.1f} % of the last 10 s waited for a core (PSI)")


def _stalled(host: Host, resource: str) -> float | None:
    text = host.read(f"/proc/pressure/{resource}") or ""
    match = re.search(r"^some avg10=([0-9.]+)", text, re.MULTILINE)
    return float(match.group(1)) if match else None


def _linux_governor(host: Host) -> Condition:
    """Recorded, never judged: "powersave" of intel_pstate is the ordinary, full-speed governor."""
    paths = host.find("/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
    names = sorted({(host.read(path) or "").strip() for path in paths} - {""})
    return Condition("governor", ", ".join(names) or UNKNOWN)


def _nvidia(host: Host) -> list[Condition]:
    conditions = []
    gpus = nvidia_gpus(host)
    for number, gpu in enumerate(gpus):
        suffix = "" if len(gpus) == 1 else f"_{number}"
        if gpu.busy_percent is None:
            conditions.append(Condition(f"gpu_use{suffix}", UNKNOWN))
        else:
            fit = gpu.busy_percent <= MAX_GPU_BUSY_PERCENT
            note = "" if fit else "another process is using the GPU"
            conditions.append(Condition(f"gpu_use{suffix}", f"{gpu.busy_percent} %", fit, note))
        conditions.append(throttle_condition(f"gpu_throttle{suffix}", gpu.clock_limits))
    return conditions


def throttle_condition(name: str, limits: int | None) -> Condition:
    """The condition for NVML's bits of reasons why a GPU's clocks are limited."""
    if limits is None:
        return Condition(name, UNKNOWN)
    active = [(text, slows) for bit, text, slows in _CLOCK_LIMITS if limits & bit]
    fit = not any(slows for _, slows in active)
    value = ", ".join(text for text, _ in active) or "none"
    return Condition(name, value, fit, "" if fit else "the GPU limits its clocks")


_MACOS: tuple[Callable[[Host], Condition], ...] = (
    _macos_power,
    _macos_low_power,
    _macos_thermal,
    _macos_memory,
    _swap,
)
_LINUX: tuple[Callable[[Host], Condition], ...] = (
    _linux_power,
    _linux_low_power,
    _linux_thermal,
    _linux_memory,
    _swap,
    _linux_cpu_pressure,
    _linux_governor,
)
