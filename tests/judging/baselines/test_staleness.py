"""Which baselines are stale, and why."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.declarations import Source
from qualification.core.libraries import LIBRARIES, PRINCIPAL_LIBRARIES
from qualification.judging.baselines.staleness import newest, read_all, stale, when
from qualification.judging.baselines.storage import accept
from qualification.judging.library_versions import principal_libraries
from qualification.servers.programs import PROGRAMS
from tests.support.stored_sample import NAME, NEW, OLD, accepted, figures, session

NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC)
DECLARED = {NAME: "mlx"}
IN_USE = {"engines": DECLARED, "tiers": {"air_m4"}, "versions": OLD, "now": NOW, "days": 90}


def reasons(folder: Path, **changes: object) -> list[str]:
    """The kinds of reasons that make the folder's only file stale."""
    (stored,) = read_all(folder)
    return [reason.kind for reason in stale(stored, **{**IN_USE, **changes})]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"engines": {}}, ["deployment"]),
        ({"tiers": {"studio"}}, ["tier"]),
        ({"days": 23}, ["age"]),
        ({"days": 24}, []),
        ({"versions": {**OLD, "mlx-vlm": "0.7.10"}}, ["versions"]),
        ({"versions": {**OLD, "numpy": "9"}}, []),
        ({"versions": {"mlx-vlm": "", "torch": "2.13.0"}}, []),
        ({"versions": NEW, "tiers": set()}, ["tier", "versions"]),
    ],
)
def test_a_baseline_is_stale_for_reasons_that_are_told_apart(
    tmp_path: Path, changes: dict[str, object], kinds: list[str]
) -> None:
    """A library that is not in use, or beside the point, makes nothing stale."""
    accept(tmp_path, session("s"), figures())
    assert reasons(tmp_path, **changes) == kinds


def test_a_derived_tier_is_never_undeclared(tmp_path: Path) -> None:
    """Its machine is what declares it."""
    accept(tmp_path, session("s", tier="macbook_air_m2_24gb"), figures())
    assert reasons(tmp_path) == []


def test_one_session_with_the_versions_in_use_is_enough(tmp_path: Path) -> None:
    """All in one session, not each in another."""
    accept(tmp_path, session("old"), figures())
    accept(tmp_path, session("half", versions={**OLD, "mlx": NEW["mlx"]}), figures())
    assert reasons(tmp_path, versions=NEW) == ["versions"]
    accept(tmp_path, session("new", versions=NEW), figures())
    assert reasons(tmp_path, versions=NEW) == []


def test_the_clause_on_versions_names_both(tmp_path: Path) -> None:
    """What is in use, and what the newest session had."""
    accept(tmp_path, session("s"), figures())
    (stored,) = read_all(tmp_path)
    (reason,) = stale(stored, **{**IN_USE, "versions": {**OLD, "mlx": "1"}})  # type: ignore[arg-type]
    assert reason.clause == "none of its sessions has mlx 1 (newest: 0.30.1)"


def test_a_session_without_a_time_is_no_new_one(tmp_path: Path) -> None:
    """It cannot keep a baseline from being stale."""
    accept(tmp_path, session("s", started="yesterday"), figures())
    assert reasons(tmp_path) == ["age"]


def test_a_metric_that_is_gone_is_told_from_a_damaged_file(tmp_path: Path) -> None:
    """Both are named; neither is left out."""
    path = accept(tmp_path, session("s"), figures())
    content = json.loads(path.read_text())
    content["sessions"][0]["trials"][0]["metric"] = "tps"
    path.write_text(json.dumps(content))
    assert reasons(tmp_path) == ["metric"]
    assert read_all(tmp_path)[0].forgotten == ("tps",)
    path.write_text("{")
    assert reasons(tmp_path) == ["unreadable"]


def test_published_figures_are_no_baselines_and_a_stray_file_is_unreadable(tmp_path: Path) -> None:
    """Nothing would ever be compared with a file in no tier's folder."""
    (tmp_path / "published").mkdir()
    (tmp_path / "published/x.json").write_text("{}")
    assert read_all(tmp_path) == ()
    (tmp_path / "x.json").write_text("{}")
    (stored,) = read_all(tmp_path)
    assert (stored.baseline, stored.path.name) == (None, "x.json")
    assert read_all(tmp_path / "nowhere") == ()


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Never an exception; always with a zone."""
    time = when(text)
    assert time is None or time.tzinfo is not None


@pytest.mark.parametrize("server", PROGRAMS)
def test_a_servers_baseline_is_stale_by_the_versions_of_its_engine(
    tmp_path: Path, server: str
) -> None:
    """Whether the deployment is declared, or only the name behind the @ is left."""
    name = NAME.replace("@mlx", f"@{server}")
    declared = {name: Source("server", "4bit", server=server).engine}
    old = dict.fromkeys(LIBRARIES, "1")
    accept(tmp_path, session("s", versions=old), figures(name))
    assert reasons(tmp_path, engines=declared, versions=old) == []
    for library in PRINCIPAL_LIBRARIES:
        stale_by = ["versions"] if library in principal_libraries(declared[name]) else []
        released = {**old, library: "2"}
        assert reasons(tmp_path, engines=declared, versions=released) == stale_by
        assert reasons(tmp_path, engines={}, versions=released) == ["deployment", *stale_by]


def test_the_newest_is_the_one_that_was_accepted_last() -> None:
    """Whatever a clock said that was set forward, back, or not at all."""
    times = ("2099-01-01T00:00:00+00:00", "?", "2026-01-01T23:00:00+00:00")
    sessions = [accepted(session(time, time), figures()) for time in times]
    assert newest(sessions).started == times[2]


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ("2099-01-01T00:00:00+00:00", "started in the future, so a clock is wrong"),
        ("?", "has no time of its start"),
        ("2026-01-01T00:00:00+00:00", "days old, over 90"),
    ],
)
def test_a_baseline_whose_newest_session_has_no_right_time_is_stale(
    tmp_path: Path, started: str, words: str
) -> None:
    """A clock that was set forward does not keep it from becoming old."""
    accept(tmp_path, session("s", "2026-11-01T12:00:00+00:00"), figures())
    accept(tmp_path, session("t", started), figures())
    (stored,) = read_all(tmp_path)
    (reason,) = (
        reason
        for reason in stale(
            stored, engines={NAME: "mlx"}, tiers={"air_m4"}, versions={}, now=NOW, days=90
        )
    )
    assert reason.kind == "age"
    assert words in reason.clause
