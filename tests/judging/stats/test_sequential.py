"""The sequential test: exact p-values, interim analyses, confirmation, futility, intervals."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

from qualification.core.metric_types import Limits
from qualification.core.metrics import GATE_LIMITS
from qualification.judging.stats.sequential import (
    ALPHA,
    ANALYSIS_PAIRS,
    FUTILITY_FACTORS,
    effect,
    is_futile,
    judge_series,
    log_ratio,
    p_greater,
    scale,
)

DECODE = GATE_LIMITS["decode_tps"]
TIED = st.lists(st.integers(-3, 3), min_size=1, max_size=8)
LOGS = st.floats(-0.3, 0.3).filter(lambda value: value == 0 or abs(value) > 1e-6)
SERIES = st.lists(LOGS, min_size=1, max_size=30)
POSITIVE = st.floats(1e-3, 1e9)


def series(seed: int, pairs: int, centre: float, sd: float) -> list[float]:
    """Normal log ratios from a seed."""
    return np.random.default_rng(seed).normal(centre, sd, pairs).tolist()


def enumerated(x: list[int]) -> float:
    """The signed-rank p by trying every sign, Pratt's zeros, midranks."""
    ranks = rankdata(np.abs(x))
    observed = sum(rank for rank, value in zip(ranks, x, strict=True) if value > 0)
    free = [rank for rank, value in zip(ranks, x, strict=True) if value]
    sums = [
        sum(rank for rank, is_up in zip(free, ups, strict=True) if is_up)
        for ups in product((False, True), repeat=len(free))
    ]
    return sum(total >= observed for total in sums) / len(sums)


@given(TIED)
def test_p_equals_the_share_of_all_signs_also_with_ties_and_zeros(x):
    """Brute force over 2^n signs."""
    assert p_greater(x) == pytest.approx(enumerated(x), abs=1e-15)


@given(st.lists(LOGS.filter(bool), min_size=1, max_size=30, unique_by=abs))
def test_p_is_that_of_scipy_where_there_are_neither_ties_nor_zeros(x):
    """Up to 30 values."""
    theirs = wilcoxon(x, alternative="greater", method="exact").pvalue
    assert p_greater(x) == pytest.approx(theirs, rel=1e-9)


@given(SERIES)
def test_swapping_the_labels_mirrors_p(x):
    """P(at least this) and P(at most this) overlap in this, and small p exclude each other."""
    up, down = p_greater(x), p_greater([-value for value in x])
    assert up + down >= 1 - 1e-12
    assert not (up <= ALPHA and down <= ALPHA)


@given(POSITIVE, POSITIVE)
def test_swapping_a_and_b_or_the_direction_turns_the_sign(a, b):
    """Positive is worse for B, whichever way is better."""
    assert log_ratio(a, b, "lower") == -log_ratio(b, a, "lower") == -log_ratio(a, b, "higher")
    assert (log_ratio(a, b, "higher") > 0) == (math.log(b) < math.log(a))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=20), st.integers(1, 12))
def test_p_does_not_depend_on_the_unit(x, power):
    """Ranks only."""
    assert p_greater(x) == p_greater([value * 2.0**-power for value in x])


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12), st.integers(0, 6))
def test_p_falls_as_everything_grows(x, shift):
    """Also through ties and zeros."""
    assert p_greater([value + shift for value in x]) <= p_greater(x) + 1e-15


@pytest.mark.parametrize("bad", [[], [math.nan], [1.0, math.inf]])
def test_p_of_nothing_or_of_no_number_is_an_error(bad):
    """Never a silent p."""
    with pytest.raises(ValueError, match="finite"):
        p_greater(bad)


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (1.0, -1.0), (math.inf, 1.0), (1.0, math.nan)])
def test_a_ratio_of_what_is_not_positive_is_an_error(a, b):
    """A metric that was not measured must not look like one."""
    with pytest.raises(ValueError, match="positive"):
        log_ratio(a, b, "lower")


def test_an_indifference_bound_over_the_margin_is_an_error():
    """δ₀ must be under m."""
    with pytest.raises(ValueError, match="noticeable"):
        Limits(0.05, 0.05)


@given(st.lists(LOGS, max_size=60), st.sampled_from(sorted(GATE_LIMITS)))
def test_a_decided_series_stays_decided_and_an_open_one_has_a_next_analysis(x, metric):
    """Prefix by prefix: a run that is resumed decides as one that was not."""
    limits = GATE_LIMITS[metric]
    final = judge_series(x, limits)
    for pairs in range(len(x) + 1):
        part = judge_series(x[:pairs], limits)
        if part.name == "open":
            assert part.pairs == pairs < part.next_pairs <= 60
        else:
            assert part == final
            assert part.next_pairs == 0
            assert part.pairs <= pairs
    assert all(analysis.pairs in ANALYSIS_PAIRS for analysis in final.analyses)


@settings(deadline=None, max_examples=40)
@given(st.lists(LOGS, min_size=60, max_size=60))
def test_sixty_pairs_always_decide_and_the_p_values_agree_with_the_name(x):
    """``pass`` and ``regressed`` exclude each other; each has its p."""
    decision = judge_series(x, DECODE)
    latest = decision.analyses[-1]
    assert decision.name != "open"
    if decision.name == "pass":
        assert latest.p_pass <= ALPHA
        assert decision.stage == "first"
    if decision.name == "regressed":
        first_stage = [analysis for analysis in decision.analyses if analysis.stage == "first"]
        for analysis in (first_stage[-1], latest):
            assert analysis.p_regressed <= ALPHA < analysis.p_pass
        assert decision.pairs == first_stage[-1].pairs + latest.pairs


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-0.1, 0.04), min_size=6, max_size=6), st.floats(0, 0.3))
def test_a_faster_b_is_never_judged_worse(x, gain):
    """If a series passes at the first analysis, one that is faster throughout passes too."""
    assume(judge_series(x, DECODE).name == "pass")
    assert judge_series([value - gain for value in x], DECODE).name == "pass"


def test_six_pairs_that_agree_pass_and_twelve_that_are_slower_are_confirmed():
    """1/64 is what six pairs reach."""
    assert judge_series([0.0] * 6, DECODE).name == "pass"
    assert judge_series([0.1] * 6, DECODE).next_pairs == 12
    decision = judge_series([0.1] * 12, DECODE)
    assert (decision.name, decision.stage, decision.pairs) == ("regressed", "confirmation", 12)


@pytest.mark.parametrize("fresh", [[0.0] * 6, [0.25, -0.3] * 15])
def test_a_regression_that_fresh_pairs_do_not_show_is_inconclusive(fresh):
    """Whether they pass or are too noisy."""
    decision = judge_series([0.1] * 6 + fresh, DECODE)
    assert decision.name == "inconclusive"
    assert "not confirmed" in decision.reason


def test_evidence_of_both_passes():
    """Noticeable, and surely less than too much."""
    both = judge_series([0.02, 0.021, 0.022, 0.023, 0.024, 0.025], DECODE)
    assert both.analyses[0].p_regressed == both.analyses[0].p_pass == ALPHA
    assert both.name == "pass"


def test_a_series_between_the_limits_ends_inconclusive_after_thirty():
    """It is neither."""
    middle = sum(DECODE.logs) / 2
    between = [middle + sign * 0.008 * step for step in range(1, 16) for sign in (1, -1)]
    decision = judge_series(between, DECODE)
    assert (decision.name, decision.pairs, len(decision.analyses)) == ("inconclusive", 30, 5)


def test_a_machine_that_is_too_noisy_stops_early_and_only_if_asked():
    """A run's scatter of 20 %: four of five series, after 9 or 13 pairs; the rest by chance."""
    drawn = [series(seed, 60, 0.0, 0.2 * math.sqrt(2)) for seed in range(200)]
    decisions = [judge_series(x, DECODE) for x in drawn]
    unfit = [decision for decision in decisions if decision.name == "unfit"]
    assert len(unfit) >= 160
    assert {decision.pairs for decision in unfit} == set(FUTILITY_FACTORS)
    assert all(judge_series(x, DECODE, futility=False).name != "unfit" for x in drawn)


@pytest.mark.parametrize("pairs", sorted(FUTILITY_FACTORS))
def test_a_machine_at_the_edge_is_hardly_ever_stopped(pairs):
    """The factor makes a 99 % bound: about 1 % of series at a scale just decidable stop."""
    noticeable, margin = DECODE.logs
    edge = (margin - noticeable) * math.sqrt(ANALYSIS_PAIRS[-1]) / 3.15
    drawn = np.random.default_rng(7).normal(0, edge, (2000, pairs))
    futile = sum(is_futile(x, DECODE) for x in drawn.tolist())
    assert 4 <= futile <= 40


def test_equal_environments_are_hardly_ever_called_slower():
    """2,000 series of CV 3 %: the first stage under 2 %, confirmed at most one."""
    x = np.random.default_rng(11).normal(0, 0.03 * math.sqrt(2), (2000, 60)).tolist()
    decisions = [judge_series(ratios, DECODE) for ratios in x]
    begun = sum(decision.stage == "confirmation" for decision in decisions)
    assert begun <= 40
    assert sum(decision.name == "regressed" for decision in decisions) <= 1
    assert sum(decision.name == "pass" for decision in decisions) >= 1900


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-40, 40).map(lambda n: n / 100), min_size=6, max_size=14))
def test_the_interval_contains_the_centres_that_the_test_does_not_reject(x):
    """Just outside each bound the test rejects, just inside it does not."""
    estimate = effect(x, DECODE)
    lower, upper = math.log(estimate.lower), math.log(estimate.upper)
    step = 1e-4
    assert p_greater([value - (lower - step) for value in x]) <= ALPHA
    assert p_greater([(upper + step) - value for value in x]) <= ALPHA
    assert p_greater([value - (lower + step) for value in x]) > ALPHA
    assert p_greater([(upper - step) - value for value in x]) > ALPHA


@given(SERIES)
def test_swapping_the_labels_inverts_the_effect(x):
    """Ratio and bounds; the estimate lies between them."""
    forward, backward = effect(x, DECODE), effect([-value for value in x], DECODE)
    assert forward.ratio == pytest.approx(1 / backward.ratio)
    assert forward.mde80 == pytest.approx(backward.mde80)
    if len(x) < 6:
        assert (forward.lower, forward.upper) == (0, math.inf)
    else:
        assert forward.upper == pytest.approx(1 / backward.lower)
        assert forward.lower <= forward.ratio * (1 + 1e-12)
        assert forward.ratio <= forward.upper * (1 + 1e-12)


def test_the_detectable_effect_shrinks_with_pairs_and_never_under_the_noticeable():
    """(1 + δ₀) · exp(3.15 · s / √N) - 1."""
    x = series(3, 20, 0.0, 0.04)
    assert effect(x, DECODE).mde80 == pytest.approx(
        1.01 * math.exp(3.15 * scale(x) / math.sqrt(20)) - 1
    )
    assert effect([0.02] * 9, DECODE).mde80 == pytest.approx(0.01)
