"""Which accepted sessions expire, and what stays of their file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import BaselineError, SelectionError
from qualification.judging.baselines.expiry import expiring, expiry_terms
from qualification.judging.baselines.staleness import read_all
from qualification.judging.baselines.storage import (
    accept,
    baseline_path,
    read_baseline,
    remove_sessions,
)
from tests.support.stored_sample import NAME, NEW, figures, session


@pytest.mark.parametrize(
    ("criteria", "expired"),
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
    tmp_path: Path, criteria: dict[str, list[str]], expired: list[str]
) -> None:
    """Any term of a kind is enough, and every kind must be met."""
    accept(tmp_path, session("a", "2026-10-01T00:00:00+00:00"), figures())
    accept(tmp_path, session("b", python="3.11.9", machine="m-2"), figures())
    accept(tmp_path, session("c", versions=NEW, machine="m-2"), figures())
    expiries = expiring(read_all(tmp_path), expiry_terms(**criteria))  # type: ignore[arg-type]
    sessions = [session for expiry in expiries for session in expiry.sessions]
    assert [session.identifier for session in sessions] == expired
    assert all(expiry.remaining == 3 - len(expired) for expiry in expiries)


@pytest.mark.parametrize(
    ("criteria", "words"),
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
def test_terms_that_say_nothing_are_refused(criteria: dict[str, list[str]], words: str) -> None:
    """One sentence; a deployment alone does not expire."""
    with pytest.raises(SelectionError, match=words) as error:
        expiry_terms(**criteria)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=3), min_size=1, max_size=5
    ).flatmap(lambda runs: st.tuples(st.just(runs), st.sets(st.integers(0, len(runs) - 1))))
)
def test_whatever_expires_the_remaining_sessions_are_untouched_byte_for_byte(
    drawn: tuple[list[list[float]], set[int]],
) -> None:
    """The file is what accepting only those would have made."""
    runs, expired = drawn
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as reference:
        path = baseline_path(Path(folder), "air_m4", NAME)
        expected = baseline_path(Path(reference), "air_m4", NAME)
        for number, values in enumerate(runs):
            trials = figures(decode_tps=values)
            accept(Path(folder), session(f"s{number}"), trials)
            if number not in expired:
                accept(Path(reference), session(f"s{number}"), trials)
        remaining = remove_sessions(path, {f"s{number}" for number in expired})
        assert remaining == len(runs) - len(expired)
        assert path.exists() == expected.exists() == bool(remaining)
        if remaining:
            assert path.read_bytes() == expected.read_bytes()


def test_removing_reads_the_file_again_and_never_writes_over_a_damaged_one(tmp_path: Path) -> None:
    """What was accepted meanwhile stays; a session that is not there is an error."""
    path = accept(tmp_path, session("a"), figures())
    (expiry,) = expiring(read_all(tmp_path), expiry_terms(sessions=["a"]))
    accept(tmp_path, session("b"), figures())
    assert remove_sessions(expiry.path, [session.identifier for session in expiry.sessions]) == 1
    assert [session.identifier for session in read_baseline(path).sessions] == ["b"]
    with pytest.raises(BaselineError, match="has no session a"):
        remove_sessions(path, ["a"])
    path.write_text("{")
    with pytest.raises(BaselineError, match="is not JSON"):
        remove_sessions(path, ["b"])
    assert path.read_text() == "{"
