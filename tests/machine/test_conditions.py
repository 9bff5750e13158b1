"""The state of the machine: what is fit, what is not, and what cannot be known."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qualification.core.results import Condition
from qualification.machine.conditions import (
    THERMAL_HELPER,
    Counters,
    conditions_between,
    counters,
    preconditions,
)
from qualification.machine.host import CpuTimes
from tests.support.recorded_host import RecordedHost


def state(host: RecordedHost) -> dict[str, Condition]:
    """Conditions by name."""
    return {condition.name: condition for condition in preconditions(host)}


def test_a_cool_mac_on_mains_is_fit() -> None:
    """Every reading is there, in words, and none is unfit."""
    conditions = state(RecordedHost("air_m4_32gb"))
    assert {name: condition.value for name, condition in conditions.items()} == {
        "load": "1.42 on 10 cores (14%)",
        "power": "mains, 100 %",
        "low_power_mode": "off",
        "thermal": "nominal",
        "memory_pressure": "normal",
        "swap": "0 B in use",
    }
    assert all(condition.fit for condition in conditions.values())


def test_a_hot_mac_on_battery_is_unfit_for_each_reason() -> None:
    """Load, battery, low power, heavy thermal level, critical memory; each says what to do."""
    conditions = state(RecordedHost("air_m4_hot_on_battery"))
    unfit = {name: c.value for name, c in conditions.items() if not c.fit}
    assert unfit == {
        "load": "7.80 on 10 cores (78%)",
        "power": "battery, 62 %",
        "low_power_mode": "on",
        "thermal": "heavy",
        "memory_pressure": "critical",
    }
    assert all(conditions[name].note for name in unfit)
    assert "70% busy" in conditions["load"].note


def test_swap_is_read_with_either_decimal_separator() -> None:
    """sysctl prints the locale's; 1,50G is 1.5 GiB, and swap from before the run is fit."""
    swap = state(RecordedHost("air_m4_hot_on_battery"))["swap"]
    assert (swap.value, swap.fit) == ("1.61 GB in use", True)
    assert state(RecordedHost("pro_m3_max_30_cores_36gb"))["swap"].value == "1.07 GB in use"


def test_a_moderate_thermal_level_is_noted_and_a_heavy_one_is_unfit() -> None:
    """The system says "nominal" too long anyway: the drift test decides."""
    host = RecordedHost("pro_m3_max_30_cores_36gb")
    thermal = state(host)["thermal"]
    assert (thermal.value, thermal.fit) == ("moderate", True)
    assert thermal.note


def test_notifyutil_stands_in_where_the_helper_says_nothing() -> None:
    """The same state, printed as "name value"."""
    host = RecordedHost("air_m4_32gb")
    del host.commands["python -c THERMAL_HELPER"]
    key = "com.apple.system.thermalpressurelevel"
    host.commands[f"notifyutil -g {key}"] = f"{key} 3\n"
    assert state(host)["thermal"].value == "trapping"


def test_the_newer_power_setting_is_read_too() -> None:
    """``powermode`` replaces ``lowpowermode``: 1 is low, 2 is high."""
    host = RecordedHost("mini_m4_16gb")
    assert state(host)["low_power_mode"].value == "off"
    host = RecordedHost("mini_m4_16gb")
    host.commands["pmset -g"] = " powermode            1\n"
    assert not state(host)["low_power_mode"].fit
    host = RecordedHost("mini_m4_16gb")
    host.commands["pmset -g"] = " powermode            2\n"
    assert state(host)["low_power_mode"].fit


def test_work_that_has_ended_does_not_make_the_load_unfit() -> None:
    """Load 6.3 on 14 cores is over the limit, but the cores were idle in the last second."""
    load = state(RecordedHost("pro_m3_max_30_cores_36gb"))["load"]
    assert load.fit
    assert "has ended" in load.note


def test_the_load_is_shared_by_all_cores_of_the_computer() -> None:
    """Not by the two that a container may use of them."""
    host = RecordedHost("air_m4_32gb", cpu_cores="2", online_cores="10")
    assert state(host)["load"].value == "1.42 on 10 cores (14%)"


def test_a_high_load_without_a_sample_is_unfit() -> None:
    """Nothing shows that the work has ended, so it counts as running."""
    load = state(RecordedHost("pro_m3_max_30_cores_36gb", cpu_times=""))["load"]
    assert not load.fit


def test_the_load_is_read_before_any_command_runs() -> None:
    """Our own commands must not count."""
    host = RecordedHost("air_m4_32gb")
    preconditions(host)
    assert host.asked[0] == "load"


def test_a_quiet_linux_machine_is_fit_and_its_unknowns_are_named() -> None:
    """A virtual machine shows no power supply, no governor and no thermal counter."""
    conditions = state(RecordedHost("linux_2_cores_24gb"))
    assert all(condition.fit for condition in conditions.values())
    assert conditions["power"] == Condition("power", "unknown", True, "no power supply is visible")
    for name in ("low_power_mode", "thermal", "governor"):
        assert conditions[name].value == "unknown"
    assert conditions["steal"].value == "0.0% over 1 s"
    assert conditions["cpu_pressure"].value == "0.1 % of the last 10 s waited for a core (PSI)"


def test_a_busy_linux_server_is_unfit_for_each_reason() -> None:
    """Battery, low-power profile, steal, a GPU in use and held down by heat; the other is free."""
    conditions = state(RecordedHost("linux_cuda_busy"))
    unfit = {name: c.value for name, c in conditions.items() if not c.fit}
    assert unfit == {
        "power": "battery, 41 %",
        "low_power_mode": "on (low-power)",
        "steal": "2.5% over 1 s",
        "gpu_use_0": "93 %",
        "gpu_throttle_0": "thermal slowdown (software)",
    }
    assert conditions["gpu_throttle_1"].value == "none"
    assert conditions["governor"].value == "performance, powersave"
    assert conditions["thermal"].value == "throttled 7 times since start-up"
    assert conditions["swap"].value == "268 MB in use"


def test_a_laptop_that_charges_is_on_mains() -> None:
    """A supply on line counts, whatever the battery says."""
    host = RecordedHost("linux_cuda_busy")
    host.files["/sys/class/power_supply/ADP1/type"] = "Mains\n"
    host.files["/sys/class/power_supply/ADP1/online"] = "1\n"
    assert state(host)["power"].value == "mains, 41 %"


def test_the_battery_of_a_mouse_is_not_the_machines() -> None:
    """Its scope is "Device"."""
    host = RecordedHost("linux_cuda_busy")
    host.files["/sys/class/power_supply/BAT0/scope"] = "Device\n"
    assert state(host)["power"].value == "unknown"


@pytest.mark.parametrize("name", ["air_m4_32gb", "linux_2_cores_24gb"])
def test_what_cannot_be_read_is_unknown_and_fit(name: str) -> None:
    """No command, no file, no counter: every value is "unknown" and fit."""
    host = RecordedHost(name, load_average="", cpu_times="")
    host.commands.clear()
    host.files.clear()
    for condition in preconditions(host):
        assert (condition.value, condition.fit) == ("unknown", True)


@pytest.mark.parametrize("name", ["air_m4_32gb", "linux_2_cores_24gb"])
def test_readings_that_are_no_readings_are_unknown(name: str) -> None:
    """Error messages in place of output raise nothing."""
    host = RecordedHost(name, load_average="")
    host.commands = dict.fromkeys(host.commands, "error: ½ unexpected\n")
    host.files = dict.fromkeys(host.files, "error: ½ unexpected\n")
    assert {condition.value for condition in preconditions(host)} <= {"unknown", "0.0% over 1 s"}


def test_this_computer_has_a_load() -> None:
    """The real host, whatever it is."""
    conditions = {condition.name: condition for condition in preconditions()}
    assert "cores" in conditions["load"].value


def test_the_thermal_helper_ends_without_a_traceback_on_a_mac_and_is_valid_python() -> None:
    """Elsewhere it may fail: there is no such library."""
    done = subprocess.run(
        [sys.executable, "-c", THERMAL_HELPER], capture_output=True, text=True, check=False
    )
    if sys.platform == "darwin":
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().isdigit()
    assert "SyntaxError" not in done.stderr


# ------------------------------------------------------------------- between two moments


def between(swap: int, stolen: float, events: int) -> dict[str, Condition]:
    """What happened over 100 seconds."""
    before = Counters(500_000_000, CpuTimes(10, 1, 1000), 3)
    after = Counters(500_000_000 + swap, CpuTimes(60, 1 + stolen, 1100), 3 + events)
    return {condition.name: condition for condition in conditions_between(before, after)}


def test_a_calm_run_is_fit() -> None:
    """Swap may shrink, and grow by 100 MB."""
    assert all(condition.fit for condition in between(-5_000_000, 0.5, 0).values())
    assert all(condition.fit for condition in between(100_000_000, 1.0, 0).values())


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ((101_000_000, 0.0, 0), "swap_growth"),
        ((0, 1.5, 0), "steal_in_the_run"),
        ((0, 0.0, 2), "throttling"),
    ],
)
def test_what_happened_during_a_run_makes_it_unfit(
    change: tuple[int, float, int], name: str
) -> None:
    """Swap growth over 100 MB, steal over 1 %, a processor that slowed down."""
    conditions = between(*change)
    assert [n for n, condition in conditions.items() if not condition.fit] == [name]
    assert conditions[name].note


def test_counters_of_this_computer_compare_with_themselves() -> None:
    """No growth between two readings at once, and no exception if nothing is known."""
    now = counters()
    assert all(condition.fit for condition in conditions_between(now, now))
    nothing = Counters(None, None, None)
    assert {c.value for c in conditions_between(nothing, now)} == {"unknown"}
