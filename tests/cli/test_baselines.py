"""``qualify baseline``: what each subcommand prints, changes and exits with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import qualification.upgrade.suspects
from qualification.cli.baselines import baseline
from qualification.core.results import Finding, Results, Verdict
from qualification.judging.baselines.storage import accept, read_baseline
from qualification.results.store import Store
from tests.support.stored_sample import NAME, NEW, figures, session


@pytest.fixture
def baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an otherwise empty project, with two machines' sessions in one file."""
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    monkeypatch.setenv("COLUMNS", "240")
    folder = tmp_path / "baselines"
    accept(folder, session("old", "2026-01-01T00:00:00+00:00"), figures())
    accept(folder, session("new", "2026-02-01T00:00:00+00:00", NEW, "m-2"), figures())
    return folder


def qualify(*arguments: str) -> Result:
    """Run the group."""
    return CliRunner().invoke(baseline, list(arguments))


def damage(folder: Path) -> Path:
    """Put a file that cannot be read beside the others."""
    path = folder / "air_m4" / "bad\x1b[31m.json"
    path.write_text("{")
    return path


def test_list_shows_sessions_machines_and_what_differs(baselines: Path) -> None:
    """One row for each baseline; a file that cannot be read is named and counted."""
    damage(baselines)
    done = qualify("list")
    assert done.exit_code == 0, done.output
    assert f"{NAME} │ air_m4 │ 2        │ 2        │ 2: mlx 0.30.1 or 0.32.4" in done.output
    assert "unreadable: " in done.output
    assert "1 baseline, 1 stale, 1 unreadable" in done.output
    assert "\x1b" not in done.output


def test_list_of_nothing_says_so(tmp_path: Path) -> None:
    """No folder, no baseline, no error."""
    done = qualify("list", "--folder", str(tmp_path / "none"))
    assert (done.exit_code, done.output) == (0, "0 baselines, 0 stale, 0 unreadable\n")


def test_stale_ones_fail_only_when_strict_and_stay(baselines: Path) -> None:
    """They are listed with the reason and left where they are."""
    before = [file.read_bytes() for file in baselines.rglob("*.json")]
    done = qualify("stale", "--days", "1")
    assert done.exit_code == 0, done.output
    assert "days old, over 1" in done.output
    assert qualify("stale", "--days", "1", "--strict").exit_code == 1
    assert [file.read_bytes() for file in baselines.rglob("*.json")] == before


def test_an_unreadable_file_is_stale_too(tmp_path: Path) -> None:
    """Strict is for CI: a damaged baseline protects nothing."""
    (tmp_path / "air_m4").mkdir()
    damage(tmp_path)
    done = qualify("stale", "--strict", "--folder", str(tmp_path))
    assert done.exit_code == 1
    assert "0 baselines, 0 stale, 1 unreadable" in done.output


@pytest.mark.parametrize("command", ["list", "stale"])
def test_both_speak_json(baselines: Path, command: str) -> None:
    """With sessions, versions and reasons."""
    done = qualify(command, "--days", "1", "--json")
    (row,) = json.loads(done.output)
    assert [session["identifier"] for session in row["sessions"]] == ["old", "new"]
    assert "age" in [reason["kind"] for reason in row["stale"]]


def test_a_file_without_a_hash_is_listed_as_unknown(baselines: Path) -> None:
    """It was written before there was one: whether it was damaged cannot be said."""
    (row,) = json.loads(qualify("list", "--json").output)
    assert row["hash"] == "matches"
    (path,) = baselines.rglob("*.json")
    content = json.loads(path.read_text())
    del content["content_sha256"]
    path.write_text(json.dumps(content))
    (row,) = json.loads(qualify("list", "--json").output)
    assert row["hash"] == "unknown"
    assert "1 without a hash (whether damaged is unknown)" in qualify("list").output


def test_compare_shows_levels_factor_and_what_differs(baselines: Path) -> None:
    """Two sessions of one file, and a sentence that they are of two machines."""
    done = qualify("compare", f"{NAME}:old", f"{NAME}:new")
    assert done.exit_code == 0, done.output
    assert "No machine is in both" in done.output
    assert "mlx-vlm 0.3.9 against 0.7.10" in done.output
    assert "decode_tps is not compared: it was measured on different machines" in done.output
    done = qualify("compare", f"{NAME}:old", f"{NAME}:new", "--any-machine", "--json")
    (row,) = json.loads(done.output)
    assert row["metrics"][0]["factor"] == pytest.approx(1)


def test_comparing_a_missing_baseline_is_one_sentence(baselines: Path) -> None:
    """Exit 2."""
    done = qualify("compare", NAME, "nothing@mlx")
    assert done.exit_code == 2
    assert len(done.output.strip().splitlines()) == 1


def test_expire_changes_nothing_without_yes(baselines: Path) -> None:
    """It shows which sessions would be removed, and that git keeps them."""
    before = [file.read_bytes() for file in baselines.rglob("*.json")]
    done = qualify("expire", "--environment", "mlx-vlm<0.6")
    assert done.exit_code == 0, done.output
    assert "old of machine m-1" in done.output
    assert "1 session would be removed; nothing was changed" in done.output
    assert "Git keeps" in done.output
    assert [file.read_bytes() for file in baselines.rglob("*.json")] == before


def test_expire_with_yes_removes_sessions_and_leaves_damaged_files(baselines: Path) -> None:
    """A file without sessions is removed; one that cannot be read is named and stays."""
    bad = damage(baselines)
    (path,) = (file for file in baselines.rglob("*.json") if file != bad)
    done = qualify("expire", "--machine", "m-1", "--yes")
    assert "1 session removed" in done.output
    assert [session.identifier for session in read_baseline(path).sessions] == ["new"]
    done = qualify("expire", "--before", "2026-12-01", "--yes")
    assert "none left, so the file is removed too" in done.output
    assert "unreadable: " in done.output
    assert list(baselines.rglob("*.json")) == [bad]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_cannot_be_removed_is_one_sentence(baselines: Path) -> None:
    """Exit 2."""
    (baselines / "air_m4").chmod(0o500)
    done = qualify("expire", "--before", "2026-12-01", "--yes")
    (baselines / "air_m4").chmod(0o700)
    assert done.exit_code == 2
    assert "cannot be changed" in done.output


def keep(folder: Path, *findings: Finding) -> None:
    """Store a session of today with one verdict."""
    verdict = Verdict(NAME, "inconclusive", "usable", findings)
    Store(f"sqlite:///{folder.parent / 'reports/results.sqlite'}").keep(
        Results(session("today", "2026-11-20T00:00:00+00:00", NEW), (verdict,), (), (), {})
    )


def test_suspects_prints_the_gate_that_each_asks_for(baselines: Path) -> None:
    """A line to paste, quoted for a shell."""
    keep(baselines, Finding("decode_tps", "suspect", "Slower."))
    done = qualify("suspects", "--session", "today")
    assert done.exit_code == 0, done.output
    comment, command = done.output.splitlines()
    assert comment.startswith(f"# {NAME}: decode_tps; accepted with mlx 0.30.1 (now 0.32.4)")
    assert command.startswith("qualify gate --from-pins 'mlx==0.30.1 mlx-vlm==0.3.9")
    assert command.endswith(f" --models {NAME} --weights hub --metrics decode_tps")


def test_suspects_starts_nothing_unasked_and_exits_as_the_gates_do(
    baselines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --run, in the order printed."""
    keep(baselines, Finding("load_s", "suspect", "Slower."))
    started: list[Any] = []

    def start(orders: Any) -> int:
        started.extend(orders)
        return 3

    monkeypatch.setattr(qualification.upgrade.suspects, "run_gates", start)
    assert qualify("suspects", "--session", "today").exit_code == 0
    assert not started
    assert qualify("suspects", "--session", "today", "--run").exit_code == 3
    assert [order[:2] for order in started] == [["qualify", "gate"]]


def test_a_session_without_suspects_says_so(baselines: Path) -> None:
    """And exits 0."""
    keep(baselines)
    done = qualify("suspects", "--any-machine", "--run")
    assert (done.exit_code, done.output) == (0, "session today has no suspect\n")
