"""Two groups of accepted sessions compared, and how a user names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import BaselineError, SelectionError
from qualification.core.metrics import METRICS
from qualification.judging.baselines.comparison import Operand, compare, differing, unlike
from qualification.judging.baselines.operands import operand, operand_pairs
from qualification.judging.baselines.storage import accept
from qualification.judging.stats.estimators import baseline_interval, interval_between
from tests.support.stored_sample import NAME, OLD, accepted, figures, session

A = Operand("A", (accepted(session("a"), figures(decode_tps=[20.0], load_s=[5.0])),))
RUNS = st.lists(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=4), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(RUNS, RUNS, st.sampled_from(["lower", "higher"]))
def test_the_interval_between_two_is_mirrored_when_they_change_places(
    baseline: list[list[float]], candidate: list[list[float]], better: str
) -> None:
    """And with a candidate of one session it is the one that verdicts use."""
    forward = interval_between(baseline, candidate, better)  # type: ignore[arg-type]
    backward = interval_between(candidate, baseline, better)  # type: ignore[arg-type]
    assert forward.difference == pytest.approx(-backward.difference, abs=1e-9)
    assert forward.lower == pytest.approx(-backward.upper, abs=1e-9)
    single = interval_between(baseline, candidate[:1], better)  # type: ignore[arg-type]
    stored = baseline_interval(candidate[0], baseline, better)  # type: ignore[arg-type]
    assert (single.difference, single.lower, single.upper) == pytest.approx(
        (stored.difference, stored.lower, stored.upper)
    )


def test_a_factor_over_one_is_worse_whichever_way_the_metric_goes() -> None:
    """Half the speed and twice the time are the same factor."""
    b = Operand("B", (accepted(session("b"), figures(decode_tps=[10.0], load_s=[10.0])),))
    rows = {row.metric: row for row in compare(A, b)}
    for metric in ("decode_tps", "load_s"):
        row = rows[metric]
        assert row.factor == pytest.approx(2)
        assert row.lower is not None and row.upper is not None  # noqa: PT018
        assert row.lower < 2 < row.upper
    assert rows["decode_tps"].a == pytest.approx((20.0,))


def test_what_cannot_be_compared_is_listed_with_the_reason() -> None:
    """Another machine, another suite, no measurement in one of the two."""
    machine = Operand("B", (accepted(session("b", machine="m-2"), A.sessions[0].trials),))
    suite = Operand("C", (accepted(session("c"), figures(suite="context")),))
    problems = {row.metric: row.problem for row in compare(A, machine)}
    assert problems["decode_tps"] == "it was measured on different machines"
    assert "No machine is in both" in unlike(A, machine)[0]
    assert compare(A, machine, any_machine=True)[0].factor == pytest.approx(1)
    problems = {row.metric: row.problem for row in compare(A, suite)}
    assert problems["decode_tps"] == "it was measured by different suites: throughput and context"
    assert problems["load_s"] == "C has no measurement of it"


def test_answers_are_compared_across_machines_and_as_a_difference() -> None:
    """A share of zero has no logarithm."""
    operands = [
        Operand(name, (accepted(session(name, machine=name), figures(accuracy=values)),))
        for name, values in (("a", [1.0, 0.0]), ("b", [0.0, 0.0]))
    ]
    (row,) = compare(*operands)
    assert (row.factor, row.difference, row.problem) == (None, -0.5, "")


def test_sessions_of_machines_that_one_operand_lacks_are_left_out_and_counted() -> None:
    """Their figures would shift the mean of one operand only."""
    both = Operand("B", (*A.sessions, accepted(session("b", machine="m-2"), figures())))
    row = next(row for row in compare(A, both) if row.metric == "decode_tps")
    assert len(row.b) == 1
    assert unlike(A, both) == ("1 of the 2 sessions of B is of machines that A does not have.",)


def test_other_weights_are_said_in_one_sentence() -> None:
    """Of the same deployment; weights of unknown revision may be the same."""
    ours, theirs, unknown = (
        Operand("A", (replace(A.sessions[0], revision=revision),))
        for revision in ("0123456789ab", "fedcba987654", "")
    )
    assert unlike(ours, theirs) == ("Other weights were measured, so a difference is theirs too.",)
    assert unlike(ours, ours) == unlike(ours, unknown) == ()


def test_versions_that_differ_are_named() -> None:
    """Only those."""
    b = Operand("B", (accepted(session("b", versions={**OLD, "mlx": "0.32.4"}), figures()),))
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
    b = Operand("B", (accepted(session("b"), figures(**values)),))
    rows = compare(A, b, any_machine=any_machine)
    assert {row.metric for row in rows} == {*values, "decode_tps", "load_s"}
    assert all(row.problem or row.a for row in rows)


def test_operands_are_named_by_deployment_session_file_or_folder(tmp_path: Path) -> None:
    """Whichever way, the same sessions."""
    a_folder, b_folder = tmp_path / "a", tmp_path / "b"
    path = accept(a_folder, session("a"), figures())
    accept(a_folder, session("b"), figures())
    accept(b_folder / "baselines", session("c"), figures())
    accept(b_folder / "baselines", session("d"), figures("x@mlx"))
    for text in (NAME, f"air_m4/{NAME}", str(path)):
        assert len(operand(text, a_folder).sessions) == 2
    assert [session.identifier for session in operand(f"{NAME}:b", a_folder).sessions] == ["b"]
    compared = operand_pairs(str(a_folder), str(b_folder), a_folder)
    assert [len(member.sessions) for member in compared.pairs[0]] == [2, 1]
    assert compared.unpaired == (f"air_m4/x@mlx: only in {b_folder}",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("y@mlx", f"y@mlx is no baseline of .*; it has: {NAME}"),
        (f"{NAME}:zz", "has no session 'zz'; it has: a"),
        (f"studio/{NAME}", "is no baseline"),
    ],
)
def test_an_operand_that_does_not_exist_is_one_sentence(
    tmp_path: Path, text: str, words: str
) -> None:
    """It lists those that do."""
    accept(tmp_path, session("a"), figures())
    with pytest.raises(SelectionError, match=words):
        operand(text, tmp_path)


def test_a_name_on_two_tiers_asks_which_and_a_damaged_file_is_never_passed_over(
    tmp_path: Path,
) -> None:
    """The file of the second tier is not taken for it."""
    accept(tmp_path, session("a"), figures())
    path = accept(tmp_path, session("a", tier="studio"), figures())
    with pytest.raises(SelectionError, match="on air_m4, studio: name one with --tier"):
        operand(NAME, tmp_path)
    assert len(operand(NAME, tmp_path, "studio").sessions) == 1
    path.write_text("{")
    with pytest.raises(BaselineError, match="is not JSON"):
        operand(NAME, tmp_path)
