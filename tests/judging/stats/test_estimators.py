"""The estimators: known answers, and properties on any finite input."""

from __future__ import annotations

import math
import re
import statistics as standard
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, theilslopes

import qualification
from qualification.judging.stats.estimators import (
    baseline_interval,
    coefficient_of_variation,
    departure,
    drift,
    hodges_lehmann,
    is_beyond_chance,
    median,
    sessions_to_decide,
    share_interval,
    standing,
    theil_sen,
)

POSITIVE = st.floats(1e-6, 1e12)
SAMPLES = st.lists(POSITIVE, min_size=1, max_size=12)
SESSIONS = st.lists(SAMPLES, min_size=1, max_size=6)


def test_the_published_runs_are_consistent_and_not() -> None:
    """Three runs each, from the published documents: 0.9 % and 75 %."""
    assert coefficient_of_variation([94.58, 95.37, 96.26]) == pytest.approx(0.0088, abs=5e-5)
    assert coefficient_of_variation([8.77, 12.28, 34.36]) == pytest.approx(0.751, abs=5e-4)


def test_hodges_lehmann_of_three_is_the_median_of_six_walsh_averages() -> None:
    """1, 2 and 9 give 1, 1.5, 2, 5, 5.5, 9: the centre is 3.5."""
    assert hodges_lehmann([1, 2, 9]) == 3.5


@settings(deadline=None)
@example([5e-324, 5e-324])
@example([1.7e308, 1.7e308])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=12))
def test_a_centre_lies_between_the_least_and_the_greatest(values: list[float]) -> None:
    """It holds for any finite values, however large."""
    for centre in (hodges_lehmann(values), median(values)):
        assert min(values) <= centre <= max(values)


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), st.floats(-1e6, 1e6))
def test_hodges_lehmann_moves_with_the_values(values: list[float], shift: float) -> None:
    """Adding a constant adds it; turning the sign turns it; order does not matter."""
    centre = hodges_lehmann(values)
    assert hodges_lehmann([value + shift for value in values]) == pytest.approx(
        centre + shift, abs=1e-6
    )
    assert hodges_lehmann([-value for value in values]) == pytest.approx(-centre)
    assert hodges_lehmann(values[::-1]) == centre


@settings(deadline=None)
@given(SAMPLES)
def test_the_median_is_the_standard_librarys(values: list[float]) -> None:
    """Where that one does not overflow."""
    assert median(values) == pytest.approx(standard.median(values))


@settings(deadline=None)
@given(st.lists(POSITIVE, min_size=2, max_size=12), st.floats(1e-3, 1e3))
def test_the_variation_has_no_unit(values: list[float], factor: float) -> None:
    """Seconds and milliseconds vary alike; never negative, at most √n."""
    share = coefficient_of_variation(values)
    assert coefficient_of_variation([v * factor for v in values]) == pytest.approx(share, abs=1e-9)
    assert 0 <= share <= math.sqrt(len(values)) * (1 + 1e-9)


@settings(deadline=None)
@given(POSITIVE, st.integers(2, 10))
def test_equal_repetitions_do_not_vary(value: float, count: int) -> None:
    """Exactly or nearly 0."""
    assert coefficient_of_variation([value] * count) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "values", [[], [1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [1.0, math.inf]]
)
def test_a_variation_of_what_is_not_positive_is_refused(values: list[float]) -> None:
    """An error, not a number that means nothing."""
    with pytest.raises(ValueError, match="positive finite"):
        coefficient_of_variation(values)


def test_no_values_have_no_centre() -> None:
    """Nor has no session an interval."""
    with pytest.raises(ValueError, match="no values"):
        hodges_lehmann([])
    with pytest.raises(ValueError, match="at least one session"):
        baseline_interval([1.0], [], "lower")
    with pytest.raises(ValueError, match="positive finite"):
        baseline_interval([0.0], [[1.0]], "lower")


def test_one_equal_session_gives_the_prior_of_two_per_cent() -> None:
    """K = 1: s = 0.02, t(.95, 4) = 2.1318, √2: ± 0.0603."""
    interval = baseline_interval([30.0] * 3, [[30.0] * 3], "higher")
    assert interval.difference == pytest.approx(0, abs=1e-15)
    assert interval.upper == pytest.approx(2.131847 * 0.02 * math.sqrt(2), rel=1e-6)
    assert interval.lower == -interval.upper


def test_three_sessions_that_differ_widen_the_interval_as_written() -> None:
    """K = 3 by hand: s² = (4 · 0.02² + 2 · s_h²) / 6 with t(.95, 6) = 1.9432."""
    levels = [math.log(x) for x in (100.0, 103.0, 97.0)]
    interval = baseline_interval([90.0], [[100.0], [103.0], [97.0]], "higher")
    s = math.sqrt((4 * 0.02**2 + 2 * standard.variance(levels)) / 6)
    assert interval.difference == pytest.approx(standard.mean(levels) - math.log(90.0))
    assert interval.upper - interval.difference == pytest.approx(
        1.943180 * s * math.sqrt(4 / 3), rel=1e-6
    )


def test_a_session_that_is_thirty_per_cent_slower_is_suspect_and_one_that_equals_is_not() -> None:
    """Decode speed with the table's 1 % and 10 %; a little slower is not decided."""
    sessions = [[30.0, 30.2, 29.9]]
    for value, expected in ((30.0, "consistent"), (28.0, "unknown"), (21.0, "suspect")):
        assert standing(baseline_interval([value], sessions, "higher"), 0.01, 0.10) == expected


@settings(deadline=None)
@given(SAMPLES, SESSIONS)
def test_the_interval_holds_its_difference_and_is_finite(
    current: list[float], sessions: list[list[float]]
) -> None:
    """Whatever the sessions."""
    interval = baseline_interval(current, sessions, "lower")
    assert interval.lower < interval.difference < interval.upper
    assert math.isfinite(interval.lower)
    assert math.isfinite(interval.upper)


@settings(deadline=None)
@given(SAMPLES, SESSIONS)
def test_rates_and_times_are_mirror_images(
    current: list[float], sessions: list[list[float]]
) -> None:
    """A rate judged "higher is better" is its inverse judged "lower is better"."""
    times = baseline_interval(
        [1 / x for x in current], [[1 / x for x in s] for s in sessions], "lower"
    )
    rates = baseline_interval(current, sessions, "higher")
    assert times.difference == pytest.approx(rates.difference, abs=1e-9)
    assert times.upper == pytest.approx(rates.upper, abs=1e-9)


@settings(deadline=None)
@given(SAMPLES, SESSIONS, st.floats(1, 10))
def test_slower_never_stands_better(
    current: list[float], sessions: list[list[float]], factor: float
) -> None:
    """consistent, unknown, suspect in that order as a time grows."""
    order = ("consistent", "unknown", "suspect")
    slower = [value * factor for value in current]
    places = [
        order.index(standing(baseline_interval(x, sessions, "lower"), 0.03, 0.30))
        for x in (current, slower)
    ]
    assert places[0] <= places[1]


def test_a_tight_margin_needs_more_sessions() -> None:
    """One session settles 10 %; memory's 5 % takes two; 0.1 % is out of reach."""
    assert [sessions_to_decide(margin) for margin in (0.30, 0.10, 0.05, 0.001)] == [1, 1, 2, 0]


@settings(deadline=None)
@given(
    st.floats(-1e3, 1e3), st.floats(-1e6, 1e6), st.integers(5, 30), st.integers(0, 29), st.floats()
)
def test_one_outlier_makes_no_slope(
    slope: float, start: float, count: int, place: int, outlier: float
) -> None:
    """A straight line has its slope, inside of the interval, whatever a single value is."""
    values = [start + slope * number for number in range(count)]
    assert theil_sen(values).value == pytest.approx(slope, rel=1e-6, abs=1e-6)
    if math.isfinite(outlier) and count >= 12:
        values[place % count] = outlier
        estimate = theil_sen(values)
        assert estimate.lower <= estimate.value <= estimate.upper
        assert estimate.value == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [1.0, math.nan, 2.0]])
def test_a_slope_needs_three_numbers(values: list[float]) -> None:
    """Fewer, or none, are refused."""
    with pytest.raises(ValueError, match="slope"):
        theil_sen(values)


def test_ten_of_twelve_guesses_among_three_are_not_chance() -> None:
    """Nine can be: one time in 260; ten come one time in 1,800."""
    assert [is_beyond_chance(correct, 12, 1 / 3) for correct in (9, 10)] == [False, True]


@given(st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6), min_size=3, max_size=40))
def test_a_slope_and_its_bounds_are_scipys(values: list[float]) -> None:
    """With equal values and without."""
    slope = theil_sen(values)
    expected = theilslopes(values)
    assert [slope.value, slope.lower, slope.upper] == pytest.approx(
        [expected.slope, expected.low_slope, expected.high_slope], rel=1e-9
    )


def test_no_module_of_the_package_imports_scipy() -> None:
    """It is 143 MB, which the core does not require; the tests compare with it."""
    importers = [
        str(file)
        for file in Path(qualification.__file__).parent.rglob("*.py")
        if re.search(r"^\s*(import|from) scipy", file.read_text("utf-8"), re.MULTILINE)
    ]
    assert not importers


@given(st.lists(st.floats(1e-4, 1.0), min_size=8, max_size=60), st.floats(0.5, 2.0))
def test_a_drift_does_not_depend_on_the_unit_and_turns_round_with_the_order(
    intervals: list[float], scale: float
) -> None:
    """Seconds or milliseconds; backwards it is the inverse."""
    assert drift([scale * interval for interval in intervals]) == pytest.approx(drift(intervals))
    assert drift(intervals[::-1]) == pytest.approx(1 / drift(intervals))


def test_one_pause_of_the_scheduler_is_no_drift() -> None:
    """A hundred times as long, once, in the last quarter."""
    assert drift([0.01] * 39 + [1.0]) == 1


@pytest.mark.parametrize("intervals", [[], [0.1] * 7, [0.1] * 8 + [0.0], [0.1] * 8 + [math.nan]])
def test_a_drift_of_too_little_is_refused(intervals: list[float]) -> None:
    """A quarter needs two."""
    with pytest.raises(ValueError, match="eight or more"):
        drift(intervals)


@given(
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9),
    st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=9),
)
def test_a_departure_is_one_or_more_either_way_round(
    before: list[float], after: list[float]
) -> None:
    """It has no direction."""
    assert departure(before, after) == departure(after, before) >= 1
    assert departure(before, before) == 1


def test_a_departure_from_nothing_is_refused() -> None:
    """No value, or a speed that is not one."""
    with pytest.raises(ValueError, match="no values"):
        departure([], [1.0])
    with pytest.raises(ValueError, match="positive"):
        departure([1.0], [math.nan])


# ------------------------------------------------------------------- shares

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(correct=st.integers(0, 60), wrong=st.integers(0, 60).map(lambda n: n + 1))
@settings(deadline=None)
def test_a_share_interval_of_correct_and_wrong_answers_is_wilsons(correct: int, wrong: int) -> None:
    """As scipy has it for counts."""
    interval = share_interval([1.0] * correct + [0.0] * wrong)
    expected = binomtest(correct, correct + wrong).proportion_ci(0.95, method="wilson")
    assert interval.lower == pytest.approx(expected.low, abs=1e-9)
    assert interval.upper == pytest.approx(expected.high, abs=1e-9)


@given(values=SHARES)
@example([1.0] * 10)
@example([0.0])
@example([0.9999999999999999] * 7)
@settings(deadline=None)
def test_a_share_interval_lies_around_the_mean_within_zero_and_one(values: list[float]) -> None:
    """And never collapses to a point, however sure the answers look."""
    interval = share_interval(values)
    assert 0 <= interval.lower <= interval.mean <= interval.upper <= 1
    assert interval.upper - interval.lower > 0.05 / math.sqrt(len(values))
    assert interval.count == len(values)


@given(values=SHARES)
@settings(deadline=None)
def test_more_questions_make_a_share_interval_narrower(values: list[float]) -> None:
    """Ten times as many of the same kind."""
    narrow, wide = share_interval(values * 10), share_interval(values)
    assert narrow.upper - narrow.lower < wide.upper - wide.lower


@pytest.mark.parametrize("values", [[], [1.1], [-0.1], [math.nan], [0.5, math.inf]])
def test_what_is_no_share_is_refused(values: list[float]) -> None:
    """A mean of them would say nothing."""
    with pytest.raises(ValueError, match="values of 0 to 1"):
        share_interval(values)


def test_a_share_interval_reads_as_a_figure_with_its_span() -> None:
    """Eleven of twenty, as the published 55 % may have been."""
    assert str(share_interval([1.0] * 11 + [0.0] * 9)) == "55.0% (34.2% to 74.2%, n = 20)"
