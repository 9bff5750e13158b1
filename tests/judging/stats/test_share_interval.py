"""The interval around an accuracy: Wilson's for right and wrong answers, else wider."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from qualification.judging.stats.estimators import share_interval

shares = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(right=st.integers(0, 60), wrong=st.integers(0, 60).map(lambda n: n + 1))
@settings(deadline=None)
def test_of_right_and_wrong_answers_it_is_wilsons(right, wrong):
    """As scipy has it for counts."""
    interval = share_interval([1.0] * right + [0.0] * wrong)
    expected = binomtest(right, right + wrong).proportion_ci(0.95, method="wilson")
    assert interval.lower == pytest.approx(expected.low, abs=1e-9)
    assert interval.upper == pytest.approx(expected.high, abs=1e-9)


@given(values=shares)
@example([1.0] * 10)
@example([0.0])
@example([0.9999999999999999] * 7)
@settings(deadline=None)
def test_it_lies_around_the_mean_within_nought_and_one(values):
    """And never collapses to a point, however sure the answers look."""
    interval = share_interval(values)
    assert 0 <= interval.lower <= interval.mean <= interval.upper <= 1
    assert interval.upper - interval.lower > 0.05 / math.sqrt(len(values))
    assert interval.count == len(values)


@given(values=shares)
@settings(deadline=None)
def test_more_questions_make_it_narrower(values):
    """Ten times as many of the same kind."""
    few, many = share_interval(values), share_interval(values * 10)
    assert many.upper - many.lower < few.upper - few.lower


@pytest.mark.parametrize("values", [[], [1.1], [-0.1], [math.nan], [0.5, math.inf]])
def test_what_is_no_share_is_refused(values):
    """A mean of them would say nothing."""
    with pytest.raises(ValueError, match="values of 0 to 1"):
        share_interval(values)


def test_it_reads_as_a_figure_with_its_span():
    """Eleven of twenty, as the seeds' 55 % may have been."""
    assert str(share_interval([1.0] * 11 + [0.0] * 9)) == "55.0% (34.2% to 74.2%, n = 20)"
