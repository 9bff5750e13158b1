"""What is stale and why, what expires, and two baselines held against each other."""

from __future__ import annotations

import datetime
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import BaselineError, SelectionError
from qualification.core.metrics import METRICS
from qualification.core.results import Environment
from qualification.judging.baselines.comparison import Side, compare, differing, unlike
from qualification.judging.baselines.expiry import expiring, terms
from qualification.judging.baselines.operands import pairs, side
from qualification.judging.baselines.staleness import newest, read_all, stale, when
from qualification.judging.baselines.storage import (
    accept,
    baseline_path,
    read_baseline,
    remove_sessions,
)
from qualification.judging.reference_sessions import Measured, levels
from qualification.judging.stats.estimators import baseline_interval, interval_between
from tests.support.stored_sample import NAME, NEW, OLD, accepted, figures, session

NOW = datetime.datetime(2026, 11, 26, tzinfo=datetime.timezone.utc)
IN_USE = {"deployments": {NAME}, "tiers": {"air_m4"}, "versions": OLD, "now": NOW, "days": 90}


def reasons(folder: Path, **changes: object) -> list[str]:
    """Kinds of what makes the folder's only file stale."""
    (kept,) = read_all(folder)
    return [reason.kind for reason in stale(kept, **{**IN_USE, **changes})]  # type: ignore[arg-type]


# ------------------------------------------------------------------- stale


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"deployments": set()}, ["deployment"]),
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
    (kept,) = read_all(tmp_path)
    (reason,) = stale(kept, **{**IN_USE, "versions": {**OLD, "mlx": "1"}})  # type: ignore[arg-type]
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
    """A file in no tier's folder would never be held against anything."""
    (tmp_path / "published").mkdir()
    (tmp_path / "published/x.json").write_text("{}")
    assert read_all(tmp_path) == ()
    (tmp_path / "x.json").write_text("{}")
    (kept,) = read_all(tmp_path)
    assert (kept.baseline, kept.path.name) == (None, "x.json")
    assert read_all(tmp_path / "nowhere") == ()


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Never an exception; always with a zone."""
    found = when(text)
    assert found is None or found.tzinfo is not None


# ------------------------------------------------------------------- expire


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({"environments": ["mlx-vlm<0.6"]}, ["a", "b"]),
        ({"environments": ["MLX_VLM>=0.7"]}, ["c"]),
        ({"environments": ["mlx-vlm<0.6", "mlx-vlm>=0.7"]}, ["a", "b", "c"]),
        ({"environments": ["torch<99"]}, []),
        ({"environments": ["python<3.12"]}, ["b"]),
        ({"sessions": ["a", "zz"]}, ["a"]),
        ({"machines": ["m-2"]}, ["b", "c"]),
        ({"machines": ["m-2"], "environments": ["mlx-vlm<0.6"]}, ["b"]),
        ({"before": "2026-10-02"}, ["a"]),
        ({"before": "2026-10-01T00:00:00+00:00"}, []),
        ({"before": "2026-10-02", "deployments": ["other@mlx"]}, []),
        ({"before": "2026-10-02", "tiers": ["studio"]}, []),
    ],
)
def test_a_session_expires_that_meets_every_kind_of_term(
    tmp_path: Path, wanted: dict[str, list[str]], gone: list[str]
) -> None:
    """Of one kind, any."""
    accept(tmp_path, session("a", "2026-10-01T00:00:00+00:00"), figures())
    accept(tmp_path, session("b", python="3.11.9", machine="m-2"), figures())
    accept(tmp_path, session("c", versions=NEW, machine="m-2"), figures())
    found = expiring(read_all(tmp_path), terms(**wanted))  # type: ignore[arg-type]
    assert [one.identifier for expiry in found for one in expiry.sessions] == gone
    assert all(expiry.left == 3 - len(gone) for expiry in found)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({}, "what expires"),
        ({"deployments": [NAME], "tiers": ["air_m4"]}, "what expires"),
        ({"before": "last week"}, "is no date"),
        ({"environments": ["mlx-vlm"]}, "versions only"),
        ({"environments": ["mlx-vlm[x]<1"]}, "versions only"),
        ({"environments": ["a @ file:///x"]}, "versions only"),
        ({"environments": ["<0.6"]}, "is no requirement"),
    ],
)
def test_terms_that_say_nothing_are_refused(wanted: dict[str, list[str]], words: str) -> None:
    """One sentence; a deployment alone does not expire."""
    with pytest.raises(SelectionError, match=words) as error:
        terms(**wanted)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=3), min_size=1, max_size=5
    ).flatmap(lambda runs: st.tuples(st.just(runs), st.sets(st.integers(0, len(runs) - 1))))
)
def test_whatever_expires_the_others_are_untouched_byte_for_byte(
    drawn: tuple[list[list[float]], set[int]],
) -> None:
    """The file is what accepting only the others would have made."""
    runs, gone = drawn
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        path = baseline_path(Path(one), "air_m4", NAME)
        expected = baseline_path(Path(other), "air_m4", NAME)
        for number, values in enumerate(runs):
            trials = figures(decode_tps=values)
            accept(Path(one), session(f"s{number}"), trials)
            if number not in gone:
                accept(Path(other), session(f"s{number}"), trials)
        left = remove_sessions(path, {f"s{number}" for number in gone})
        assert left == len(runs) - len(gone)
        assert path.exists() == expected.exists() == bool(left)
        if left:
            assert path.read_bytes() == expected.read_bytes()


def test_removing_reads_the_file_again_and_never_writes_over_a_damaged_one(tmp_path: Path) -> None:
    """What was accepted meanwhile stays; a session that is not there is an error."""
    path = accept(tmp_path, session("a"), figures())
    (expiry,) = expiring(read_all(tmp_path), terms(sessions=["a"]))
    accept(tmp_path, session("b"), figures())
    assert remove_sessions(expiry.path, [one.identifier for one in expiry.sessions]) == 1
    assert [one.identifier for one in read_baseline(path).sessions] == ["b"]
    with pytest.raises(BaselineError, match="has no session a"):
        remove_sessions(path, ["a"])
    path.write_text("{")
    with pytest.raises(BaselineError, match="is not JSON"):
        remove_sessions(path, ["b"])
    assert path.read_text() == "{"


# ------------------------------------------------------------------- compare

A = Side("A", (accepted(session("a"), figures(decode_tps=[20.0], load_s=[5.0])),))
RUNS = st.lists(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(RUNS, RUNS, st.sampled_from(["lower", "higher"]))
def test_the_interval_between_two_is_mirrored_when_they_change_places(
    one: list[list[float]], other: list[list[float]], better: str
) -> None:
    """And with one session on the other side it is the one that verdicts use."""
    there = interval_between(one, other, better)  # type: ignore[arg-type]
    back = interval_between(other, one, better)  # type: ignore[arg-type]
    assert there.difference == pytest.approx(-back.difference, abs=1e-9)
    assert there.lower == pytest.approx(-back.upper, abs=1e-9)
    single = interval_between(one, other[:1], better)  # type: ignore[arg-type]
    stored = baseline_interval(other[0], one, better)  # type: ignore[arg-type]
    assert (single.difference, single.lower, single.upper) == pytest.approx(
        (stored.difference, stored.lower, stored.upper)
    )


def test_a_factor_over_one_is_worse_whichever_way_the_metric_goes() -> None:
    """Half the speed and twice the time are the same factor."""
    b = Side("B", (accepted(session("b"), figures(decode_tps=[10.0], load_s=[10.0])),))
    rows = {row.metric: row for row in compare(A, b)}
    for metric in ("decode_tps", "load_s"):
        row = rows[metric]
        assert row.factor == pytest.approx(2)
        assert row.lower is not None and row.upper is not None  # noqa: PT018
        assert row.lower < 2 < row.upper
    assert rows["decode_tps"].a == pytest.approx((20.0,))


def test_what_cannot_be_compared_is_said_with_the_reason() -> None:
    """Another machine, another suite, nothing on one side."""
    machine = Side("B", (accepted(session("b", machine="m-2"), A.sessions[0].trials),))
    suite = Side("C", (accepted(session("c"), figures(suite="context")),))
    problems = {row.metric: row.problem for row in compare(A, machine)}
    assert problems["decode_tps"] == "it was measured on different machines"
    assert "No machine is in both" in unlike(A, machine)[0]
    assert compare(A, machine, any_machine=True)[0].factor == pytest.approx(1)
    problems = {row.metric: row.problem for row in compare(A, suite)}
    assert problems["decode_tps"] == "it was measured by different suites: throughput and context"
    assert problems["load_s"] == "C has no measurement of it"


def test_answers_are_compared_across_machines_and_as_a_difference() -> None:
    """A share of nought has no logarithm."""
    sides = [
        Side(name, (accepted(session(name, machine=name), figures(accuracy=values)),))
        for name, values in (("one", [1.0, 0.0]), ("other", [0.0, 0.0]))
    ]
    (row,) = compare(*sides)
    assert (row.factor, row.difference, row.problem) == (None, -0.5, "")


def test_sessions_of_machines_that_one_side_lacks_are_left_out_and_counted() -> None:
    """Their figures would shift the mean of one side only."""
    both = Side("B", (*A.sessions, accepted(session("b", machine="m-2"), figures())))
    row = next(row for row in compare(A, both) if row.metric == "decode_tps")
    assert len(row.b) == 1
    assert unlike(A, both) == ("1 of the 2 sessions of B is of machines that A does not have.",)


def test_versions_that_differ_are_named() -> None:
    """Only those."""
    b = Side("B", (accepted(session("b", versions={**OLD, "mlx": "0.32.4"}), figures()),))
    assert differing(A, b) == ("mlx 0.30.1 against 0.32.4",)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(METRICS)),
        st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
        min_size=1,
    ),
    st.booleans(),
)
def test_any_figures_are_compared_or_said_not_to_be(
    values: dict[str, list[float]], any_machine: bool
) -> None:
    """Each metric once, never an exception."""
    b = Side("B", (accepted(session("b"), figures(**values)),))
    rows = compare(A, b, any_machine=any_machine)
    assert {row.metric for row in rows} == {*values, "decode_tps", "load_s"}
    assert all(row.problem or row.a for row in rows)


def test_sides_are_named_by_deployment_session_file_or_folder(tmp_path: Path) -> None:
    """Whichever way, the same sessions."""
    here, there = tmp_path / "one", tmp_path / "other"
    path = accept(here, session("a"), figures())
    accept(here, session("b"), figures())
    accept(there / "baselines", session("c"), figures())
    accept(there / "baselines", session("d"), figures("x@mlx"))
    for text in (NAME, f"air_m4/{NAME}", str(path)):
        assert len(side(text, here).sessions) == 2
    assert [one.identifier for one in side(f"{NAME}:b", here).sessions] == ["b"]
    found = pairs(str(here), str(there), here)
    assert [len(each.sessions) for each in found.pairs[0]] == [2, 1]
    assert found.alone == (f"air_m4/x@mlx: only in {there}",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y@mlx", f"y@mlx is no baseline of .*; it has: {NAME}"),
        (f"{NAME}:zz", "has no session 'zz'; it has: a"),
        (f"studio/{NAME}", "is no baseline"),
    ],
)
def test_a_side_that_is_not_there_is_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    """It says what is."""
    accept(tmp_path, session("a"), figures())
    with pytest.raises(SelectionError, match=words):
        side(text, tmp_path)


def test_a_name_on_two_tiers_asks_which_and_a_damaged_file_is_never_passed_over(
    tmp_path: Path,
) -> None:
    """The other tier's file is not taken for it."""
    accept(tmp_path, session("a"), figures())
    path = accept(tmp_path, session("a", tier="studio"), figures())
    with pytest.raises(SelectionError, match="on air_m4, studio: name one with --tier"):
        side(NAME, tmp_path)
    assert len(side(NAME, tmp_path, "studio").sessions) == 1
    path.write_text("{")
    with pytest.raises(BaselineError, match="is not JSON"):
        side(NAME, tmp_path)


# ------------------------------------------------------------------- machines


def measured(machine: str, *values: float) -> Measured:
    """One stored session."""
    return Measured(machine, Environment("current", "3.12", {}), values)


def test_sessions_of_other_machines_count_once_for_each_machine() -> None:
    """Five of one neighbour say no more about a third than one does."""
    own = [measured("m", 10.0), measured("m", 11.0)]
    assert levels(own, "m") == ("session", ((10.0,), (11.0,)))
    unit, found = levels([measured("x", 10.0), measured("y", 8.0), measured("x", 40.0)], "m")
    assert unit == "machine"
    assert [value for (value,) in found] == pytest.approx([20.0, 8.0])


def test_with_machines_as_units_a_slowdown_is_not_called_consistent() -> None:
    """Machines differ by 2 %, days by 1 %; a tenth slower, against five sessions of a neighbour.

    ``consistent`` (the upper bound is under the margin) is wrong then, and may be said in 5 %. With
    the session as the unit it is said far more often.
    """
    import numpy as np

    generator = np.random.default_rng(7)
    wrong = {"machine": 0, "session": 0}
    for _ in range(400):
        neighbour, here = generator.normal(0, 0.02, 2)
        days = neighbour + generator.normal(0, 0.01, 5)
        stored = [measured("x", float(value)) for value in np.exp(days)]
        now = [float(np.exp(here + generator.normal(0, 0.01)) * 1.1)]
        by_machine = baseline_interval(now, levels(stored, "m")[1], "lower")
        by_session = baseline_interval(now, [one.values for one in stored], "lower")
        wrong["machine"] += by_machine.upper < np.log(1.1)
        wrong["session"] += by_session.upper < np.log(1.1)
    assert wrong["machine"] <= 0.05 * 400
    assert wrong["session"] > 0.1 * 400


def test_the_newest_is_the_one_that_started_last() -> None:
    """Whatever order they were accepted in, and whatever zone they were written in."""
    times = ("2026-01-02T00:00:00+09:00", "2026-01-01T23:00:00+00:00", "?")
    sessions = [accepted(session(time, time), figures()) for time in times]
    assert newest(sessions).started == times[1]
