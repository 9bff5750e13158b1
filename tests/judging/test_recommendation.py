"""The rule that recommends: a table of cases, and what no input may change."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.judging.recommendation import FAST_ACCURACY, Candidate, Recommendation, recommend
from qualification.judging.stats.estimators import share_interval

GB = 1e9
ROOM = 20 * GB


def candidate(name, right=94, tps=21.8, peak=6.8, **changes):
    """``right`` of 100 answers, tok/s, and GB."""
    accuracy = share_interval([1.0] * right + [0.0] * (100 - right))
    return Candidate(name, accuracy, tps, peak * GB, **changes)


LARGE = candidate("large")
QUICK = candidate("quick", right=90, tps=100.0, peak=3.0)
TINY = candidate("tiny", right=62, tps=150.0, peak=1.1)
BROKEN = candidate("broken", right=99, against=("answers wrongly",))
HUGE = candidate("huge", right=99, too_big="46.8 GB of 24.5 GB")
NEW = Candidate("new", untried="was not downloaded")


def names(candidates):
    """In their order."""
    return [candidate.name for candidate in candidates]


def test_accuracy_weighs_and_each_pick_has_its_own_measure():
    """A model of 62 % is the smallest, and never the fastest worth a line."""
    picks = recommend([TINY, HUGE, QUICK, NEW, BROKEN, LARGE], ROOM)
    assert picks.best == LARGE
    assert picks.fast == QUICK
    assert picks.smallest == TINY
    assert names(picks.avoid) == ["broken"]
    assert names(picks.too_big) == ["huge"]
    assert [(c.name, why) for c, why in picks.left_out] == [("new", "was not downloaded")]


def test_overlapping_intervals_are_ties():
    """94 and 90 of 100 cannot be told apart; 62 can."""
    assert names(recommend([LARGE, QUICK, TINY], ROOM).tied) == ["quick"]


LEFT_OUT = {
    "slow": (candidate("x", tps=4.9), "4.90 tok/s is slower than people read (5.00 tok/s)"),
    "tight": (
        candidate("x", peak=20.1),
        "its peak of 20.1 GB fits only with applications closed: they leave 20.0 GB",
    ),
    "text only": (replace(LARGE, accuracy=None), "accuracy was not measured"),
    "unfit": (
        replace(LARGE, decode_tps=None, peak_bytes=None),
        "speed and peak memory were not measured",
    ),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_cannot_be_picked_says_why(case):
    """Nothing is wrong with it, and nothing is recommended."""
    left_out, reason = LEFT_OUT[case]
    picks = recommend([left_out], ROOM)
    assert (picks.best, picks.fast, picks.smallest, picks.avoid) == (None, None, None, ())
    assert picks.left_out == ((left_out, reason),)


def test_without_an_accurate_one_none_is_called_fast():
    """The bound of its interval counts, not its mean."""
    just = candidate("just", right=round(100 * FAST_ACCURACY))
    assert recommend([just], ROOM).fast is None
    assert recommend([just], ROOM).best == just


def test_nothing_measured_is_nothing_picked():
    """An empty machine."""
    assert recommend([], ROOM) == Recommendation()


CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.sampled_from("abcdef"),
        right=st.integers(0, 100),
        tps=st.floats(0.1, 200.0),
        peak=st.floats(0.1, 40.0),
    ),
    unique_by=lambda c: c.name,
    min_size=1,
)


@given(CANDIDATES, st.randoms())
def test_no_order_changes_a_pick(candidates, rng):
    """Nor the lists."""
    before = recommend(candidates, ROOM)
    rng.shuffle(candidates)
    assert recommend(candidates, ROOM) == before


@given(CANDIDATES, st.data())
def test_a_worse_figure_never_makes_a_pick(candidates, data):
    """Of accuracy, speed or memory: who was not picked before is not picked then."""
    number = data.draw(st.integers(0, len(candidates) - 1))
    chosen = candidates[number]
    worse = data.draw(
        st.sampled_from(
            [
                replace(chosen, accuracy=share_interval([0.0] * 100)),
                replace(chosen, decode_tps=chosen.decode_tps / 2),
                replace(chosen, peak_bytes=chosen.peak_bytes * 2),
            ]
        )
    )
    before = recommend(candidates, ROOM)
    after = recommend([*candidates[:number], worse, *candidates[number + 1 :]], ROOM)
    for pick in ("best", "fast", "smallest"):
        was, now = getattr(before, pick), getattr(after, pick)
        if now is not None and now.name == chosen.name:
            assert was is not None
            assert was.name == chosen.name
