"""What is seen of the machine while figures are taken."""

from __future__ import annotations

import time
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from qualification.core.results import Condition
from qualification.machine.conditions import conditions_after
from qualification.machine.host import CpuTimes
from qualification.machine.monitor import Sample, Watch, conditions_during, look, own_seconds
from tests.support.recorded_host import RecordedHost


def sample(second: float, busy: float, own: dict[int, float], **more: int) -> Sample:
    """Of two cores, ``busy`` seconds of both together so far."""
    return Sample(CpuTimes(busy, 0.0, 2 * second), own, **more)


def by_name(samples: list[Sample]) -> dict[str, Condition]:
    """Conditions by name."""
    return {condition.name: condition for condition in conditions_during(samples)}


def test_our_own_worker_is_not_other_work() -> None:
    """Two cores busy all the time, both for us: fit, where a load average would say 100 %."""
    found = by_name([sample(0, 0, {1: 0.0, 2: 0.0}), sample(10, 20, {1: 1.0, 2: 19.0})])
    assert found["load_in_the_run"] == Condition(
        "load_in_the_run", "0% of the cores by other work, 0% at its most"
    )


def test_a_worker_that_was_started_and_ended_is_still_ours() -> None:
    """What it used is its parent's when it was waited for; a new one counts from nought."""
    ended = by_name([sample(0, 0, {1: 1.0, 2: 5.0}), sample(10, 8, {1: 14.0})])
    assert ended["load_in_the_run"].value.startswith("0%")
    started = by_name([sample(0, 0, {1: 1.0}), sample(10, 8, {1: 1.0, 9: 8.0})])
    assert started["load_in_the_run"].value.startswith("0%")


def test_other_work_makes_the_run_unfit_by_its_mean() -> None:
    """Half of the cores for half of the time is at the limit; more is over it."""
    some = [sample(0, 0, {1: 0.0}), sample(10, 10, {1: 0.0}), sample(20, 10, {1: 0.0})]
    assert by_name(some)["load_in_the_run"].fit
    assert "50% at its most" in by_name(some)["load_in_the_run"].value
    more = [*some, sample(30, 22, {1: 0.0})]
    assert not by_name(more)["load_in_the_run"].fit


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0, 20), st.floats(0, 20)), min_size=0, max_size=8
    )
)
def test_whatever_the_counters_say_the_share_is_one(
    steps: list[tuple[float, float, float]],
) -> None:
    """Counters of a kernel and of processes disagree by a tick; a share never leaves 0 to 1."""
    second = busy = own = 0.0
    samples = [sample(0, 0, {1: 0.0})]
    for seconds, worked, ours in steps:
        second, busy, own = second + seconds, busy + worked, own + ours
        samples.append(sample(second, busy, {1: own}))
    value = by_name(samples)["load_in_the_run"].value
    if value != "unknown":
        shares = [float(word.rstrip("%")) for word in value.split() if word.endswith("%")]
        assert all(0 <= share <= 100 for share in shares)


def test_the_worst_of_heat_and_pressure_counts() -> None:
    """A machine that was heavy for one sample is unfit, however it ended."""
    found = by_name(
        [
            sample(0, 0, {}, thermal=0, pressure=1),
            sample(5, 1, {}, thermal=2, pressure=4),
            sample(10, 2, {}, thermal=0, pressure=1),
        ]
    )
    assert (found["thermal_in_the_run"].value, found["thermal_in_the_run"].fit) == ("heavy", False)
    assert not found["memory_pressure_in_the_run"].fit


def test_reasons_of_a_gpu_are_put_together() -> None:
    """Power cap in one sample, heat in another."""
    found = by_name([sample(0, 0, {}, gpu_limits=0x4), sample(5, 1, {}, gpu_limits=0x20)])
    throttled = found["gpu_throttle_in_the_run"]
    assert throttled.value == "power cap, thermal slowdown (software)"
    assert not throttled.fit


def test_a_mac_is_read_without_starting_an_interpreter_for_each_sample() -> None:
    """notifyutil and sysctl are small; nothing else runs."""
    host = RecordedHost("air_m4_hot_on_battery")
    key = "com.apple.system.thermalpressurelevel"
    host.commands[f"notifyutil -g {key}"] = f"{key} 2\n"
    seen = look(host, dict)
    assert (seen.thermal, seen.pressure) == (2, 4)
    assert not [asked for asked in host.asked if "python" in asked]


def test_a_linux_machine_without_a_gpu_says_nothing_of_one() -> None:
    """No driver's library: no condition."""
    host = RecordedHost("linux_2_cores_24gb")
    assert look(host, dict).gpu_limits is None
    assert not [asked for asked in host.asked if "nvidia-smi" in asked]


def test_limits_of_several_gpus_are_one_reading() -> None:
    """As NVML tells them."""
    host = RecordedHost("linux_2_cores_24gb")
    host.library = SimpleNamespace(
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda _: "GPU",
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=1),
        nvmlDeviceGetUtilizationRates=lambda _: SimpleNamespace(gpu=0),
        nvmlDeviceGetCurrentClocksEventReasons=lambda index: (0x4, 0x20)[index],
    )
    assert look(host, dict).gpu_limits == 0x24


def test_after_a_run_only_what_is_not_our_own_work_is_looked_at() -> None:
    """Power, heat and pressure under names of their own; no load, no use of the GPU."""
    found = {c.name: c for c in conditions_after(RecordedHost("air_m4_hot_on_battery"))}
    assert set(found) == {
        "power_after",
        "low_power_mode_after",
        "thermal_after",
        "memory_pressure_after",
    }
    assert not any(condition.fit for condition in found.values())
    assert not [
        c.name for c in conditions_after(RecordedHost("linux_cuda_busy")) if "use" in c.name
    ]


def test_the_thread_takes_samples_and_ends() -> None:
    """One at the beginning, some between, one at the end; a second stop says the same."""
    watch = Watch(period_s=0.02)
    time.sleep(0.2)
    first = watch.stop()
    seen = {condition.name: condition.value for condition in first}
    assert "of the cores by other work" in seen["load_in_the_run"]
    assert len(watch._samples) > 2
    assert watch.stop() == first
    assert not watch._thread.is_alive()


def test_this_process_has_used_the_processor() -> None:
    """By its number."""
    import os

    assert own_seconds()[os.getpid()] > 0
