"""``qualify doctor`` for a program and for a person."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from qualification.cli.doctor_report import doctor_report, render_doctor
from qualification.core.declarations import Chip, MemoryBudget, Tier
from qualification.core.results import Environment
from qualification.machine.conditions import preconditions
from qualification.machine.probe import probe
from qualification.machine.readiness import BackendReadiness
from qualification.models import release_advice
from qualification.models.release_advice import Advice, WrongReleases
from tests.support.recorded_host import RecordedHost

AIR = Tier("air_m4", "MacBook Air M4", "macos", 30e9, 36e9, MemoryBudget(8e9, 2e9, 16e9))
AIR = Tier(**{**vars(AIR), "accelerator": "metal"})
READY = BackendReadiness("mlx", True, "0.7.10")
MISSING = BackendReadiness(
    "torch", False, "", "pip install '.[torch]'", "not installed: torch, [bold]odd[/bold]"
)


def report(name: str) -> dict[str, object]:
    """Doctor's report of a recorded machine."""
    host = RecordedHost(name)
    machine = probe((Chip("M4", 8, 10, 120e9),), (AIR,), host)
    environment = Environment("current", "3.12.1", {"mlx": "0.32.4", "torch": ""})
    return doctor_report(machine, environment, preconditions(host), (READY, MISSING), (AIR,))


def rendered(name: str, width: int = 100) -> str:
    """As a terminal without colours shows it."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render_doctor(report(name)))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_the_report_is_plain_json_with_units_in_bytes() -> None:
    """A JSON round trip returns it unchanged."""
    air = report("air_m4_32gb")
    assert json.loads(json.dumps(air, allow_nan=False)) == json.loads(json.dumps(air))
    assert air["machine"]["memory_bytes"] == 34359738368  # type: ignore[index]
    assert air["tier"]["name"] == "air_m4"  # type: ignore[index]
    assert air["tier"]["title"] == "MacBook Air M4"  # type: ignore[index]
    assert air["tier"]["derived"] is False  # type: ignore[index]
    assert air["allowance"]["limit_bytes"] > 0  # type: ignore[index]
    assert air["fit"] is True


def test_a_person_reads_machine_tier_backends_and_state() -> None:
    """One screen; the missing backend comes with the command that installs it."""
    text = rendered("air_m4_32gb")
    for words in (
        "MacBook Air",
        "Apple M4, 10 cores, 10 GPU cores",
        "32 GiB",
        "120 GB/s",
        "air_m4: MacBook Air M4",
        "ready, 0.7.10",
        "run: pip install '.[torch]'",
        "not installed",
        "No condition makes speed measured now unfit.",
    ):
        assert words in text
    assert len(text.splitlines()) < 50


def test_a_derived_tier_is_explained() -> None:
    """In the same place, with the nearest declared one."""
    text = " ".join(rendered("mini_m4_16gb").split())
    assert "mac_mini_m4_16gb: Mac mini, Apple M4" in text
    assert "the nearest declared one, air_m4, is for" in text
    assert report("mini_m4_16gb")["tier"]["derived"] is True  # type: ignore[index]


def test_the_limit_of_a_model_is_named() -> None:
    """Metal's usual one here; the least of all that the machine has."""
    text = " ".join(rendered("air_m4_32gb").split())
    assert "for a model 22.9 GB (Metal's usual working set)" in text


def test_an_unfit_machine_is_told_what_makes_it_unfit() -> None:
    """By name, in the final line, so that a reader notices."""
    conclusion = rendered("air_m4_hot_on_battery").strip().splitlines()[-1]
    assert conclusion.startswith("Speed measured now would be unfit: load, power")
    assert report("air_m4_hot_on_battery")["fit"] is False


def test_text_from_the_machine_is_not_read_as_markup() -> None:
    """Square brackets are shown."""
    assert "[bold]odd[/bold]" in rendered("air_m4_32gb")


@pytest.mark.parametrize("width", [40, 60, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Long values fold; nothing is truncated."""
    text = rendered("air_m4_hot_on_battery", width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_an_installed_release_that_a_map_knows_to_be_wrong_is_named(monkeypatch) -> None:
    """With what is wrong, and the pin; without one there is no such part."""
    assert "Known to be wrong" not in rendered("air_m4_32gb")
    wrong = WrongReleases("0.32.0", "", "wrong: 1 of 9 correct")
    advice = Advice("mlx", "tiny-f32@mlx", "tiny", "mlx", "0.31.0", "0.32.4", "", (wrong,))
    monkeypatch.setattr(release_advice, "shipped_advice", lambda: (advice,))
    text = " ".join(rendered("air_m4_32gb").split())
    assert "Known to be wrong mlx mlx 0.32.4 is known to be wrong for tiny" in text
    assert "pin mlx==0.31.0" in text
    (warning,) = report("air_m4_32gb")["wrong_releases"]  # type: ignore[misc]
    assert warning["package"] == "mlx"
