"""The machine's state while figures are taken."""

from __future__ import annotations

import time
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from qualification.core.results import Condition
from qualification.machine.conditions import conditions_after
from qualification.machine.host import CpuTimes
from qualification.machine.monitor import (
    Monitor,
    MonitorSample,
    conditions_during,
    own_seconds,
    take_sample,
)
from tests.support.recorded_host import RecordedHost


def sample(second: float, busy: float, own_s: dict[int, float], **readings: int) -> MonitorSample:
    """Two cores, which were busy for ``busy`` seconds in total so far."""
    return MonitorSample(CpuTimes(busy, 0.0, 2 * second), own_s, **readings)


def by_name(samples: list[MonitorSample]) -> dict[str, Condition]:
    """Conditions by name."""
    return {condition.name: condition for condition in conditions_during(samples)}


def test_our_own_worker_is_not_other_work() -> None:
    """Two cores busy all the time, both for us: fit, where a load average would say 100 %."""
    conditions = by_name([sample(0, 0, {1: 0.0, 2: 0.0}), sample(10, 20, {1: 1.0, 2: 19.0})])
    assert conditions["load_in_the_run"] == Condition(
        "load_in_the_run", "0% of the cores by other work, 0% at its most"
    )


def test_a_worker_that_was_started_and_ended_is_still_ours() -> None:
    """Its time is added to its parent's when it was waited for; a new one counts from zero."""
    ended = by_name([sample(0, 0, {1: 1.0, 2: 5.0}), sample(10, 8, {1: 14.0})])
    assert ended["load_in_the_run"].value.startswith("0%")
    started = by_name([sample(0, 0, {1: 1.0}), sample(10, 8, {1: 1.0, 9: 8.0})])
    assert started["load_in_the_run"].value.startswith("0%")


def test_other_work_makes_the_run_unfit_by_its_mean() -> None:
    """Half of the cores for half of the time is at the limit; more is over it."""
    samples = [sample(0, 0, {1: 0.0}), sample(10, 10, {1: 0.0}), sample(20, 10, {1: 0.0})]
    assert by_name(samples)["load_in_the_run"].fit
    assert "50% at its most" in by_name(samples)["load_in_the_run"].value
    samples.append(sample(30, 22, {1: 0.0}))
    assert not by_name(samples)["load_in_the_run"].fit


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 20), st.floats(0, 20)), min_size=0, max_size=8
    )
)
def test_the_share_of_other_work_is_between_zero_and_one(
    steps: list[tuple[float, float, float]],
) -> None:
    """The counters of the kernel and of processes disagree by a tick."""
    second = busy = own_s = 0.0
    samples = [sample(0, 0, {1: 0.0})]
    for seconds, worked, ours in steps:
        second, busy, own_s = second + seconds, busy + worked, own_s + ours
        samples.append(sample(second, busy, {1: own_s}))
    value = by_name(samples)["load_in_the_run"].value
    if value != "unknown":
        shares = [float(word.rstrip("%")) for word in value.split() if word.endswith("%")]
        assert all(0 <= share <= 100 for share in shares)


def test_the_worst_of_heat_and_pressure_counts() -> None:
    """A machine that was heavy for one sample is unfit, however it ended."""
    conditions = by_name(
        [
            sample(0, 0, {}, thermal=0, pressure=1),
            sample(5, 1, {}, thermal=2, pressure=4),
            sample(10, 2, {}, thermal=0, pressure=1),
        ]
    )
    assert (conditions["thermal_in_the_run"].value, conditions["thermal_in_the_run"].fit) == (
        "heavy",
        False,
    )
    assert not conditions["memory_pressure_in_the_run"].fit


def test_reasons_of_a_gpu_are_put_together() -> None:
    """Power cap in one sample, heat in another."""
    conditions = by_name([sample(0, 0, {}, gpu_limits=0x4), sample(5, 1, {}, gpu_limits=0x20)])
    throttled = conditions["gpu_throttle_in_the_run"]
    assert throttled.value == "power cap, thermal slowdown (software)"
    assert not throttled.fit


def test_a_mac_is_read_without_starting_an_interpreter_for_each_sample() -> None:
    """notifyutil and sysctl are small; nothing else runs."""
    host = RecordedHost("air_m4_hot_on_battery")
    key = "com.apple.system.thermalpressurelevel"
    host.commands[f"notifyutil -g {key}"] = f"{key} 2\n"
    reading = take_sample(host, dict)
    assert (reading.thermal, reading.pressure) == (2, 4)
    assert not [command for command in host.asked if "python" in command]


def test_a_linux_machine_without_a_gpu_says_nothing_of_one() -> None:
    """No driver's library: no condition."""
    host = RecordedHost("linux_2_cores_24gb")
    assert take_sample(host, dict).gpu_limits is None
    assert not [command for command in host.asked if "nvidia-smi" in command]


def test_limits_of_several_gpus_are_one_reading() -> None:
    """As NVML reports them."""
    host = RecordedHost("linux_2_cores_24gb")
    host.library = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda _: "GPU",
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=1),
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=0),
        nvmlDeviceGetCurrentClocksEventReasons=lambda index: (0x4, 0x20)[index],
    )
    assert take_sample(host, dict).gpu_limits == 0x24


def test_conditions_after_a_run_leave_out_our_own_work() -> None:
    """Power, heat and pressure under names of their own; no load, no use of the GPU."""
    conditions = {c.name: c for c in conditions_after(RecordedHost("air_m4_hot_on_battery"))}
    assert set(conditions) == {
        "power_after",
        "low_power_mode_after",
        "thermal_after",
        "memory_pressure_after",
    }
    assert not any(condition.fit for condition in conditions.values())
    assert not [
        c.name for c in conditions_after(RecordedHost("linux_cuda_busy")) if "use" in c.name
    ]


def test_the_thread_takes_samples_and_ends() -> None:
    """Samples at the beginning, between and at the end; a second stop repeats the conditions."""
    monitor = Monitor(period_s=0.02)
    time.sleep(0.2)
    conditions = monitor.stop()
    values = {condition.name: condition.value for condition in conditions}
    assert "of the cores by other work" in values["load_in_the_run"]
    assert len(monitor._samples) > 2
    assert monitor.stop() == conditions
    assert not monitor._thread.is_alive()


def test_this_process_has_used_the_processor() -> None:
    """By its number."""
    import os

    assert own_seconds()[os.getpid()] > 0
