"""Estimates from few, noisy repetitions. Pure functions of numbers; no state, no I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from qualification.judging.stats.distributions import binomial_tail, student_quantile

PRIOR_SD = 0.02
"""Standard deviation of a session's log level between days, before any session was seen."""

PRIOR_DEGREES = 4
"""Weight of that prior, in degrees of freedom."""

CONFIDENCE = 0.95
"""Level of each one-sided bound of :func:`baseline_interval`; two-sided elsewhere."""

RARE = 1e-3
"""Level of the test of :func:`is_beyond_chance`."""

Standing = Literal["consistent", "suspect", "unknown"]


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones; ValueError for no value."""
    if not values:
        raise ValueError("the median of no values is not defined")
    ordered = sorted(values)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return _midpoint(low, high)


def _midpoint(low: float, high: float) -> float:
    total = low + high
    # The sum overflows for huge values; halving first would underflow for tiny ones.
    return total / 2 if math.isfinite(total) else low / 2 + high / 2


def hodges_lehmann(values: Sequence[float]) -> float:
    """The Hodges-Lehmann estimate of a centre: median of all (x_i + x_j) / 2 with i <= j.

    Robust like the median (it breaks down at 29 % outliers) and nearly as efficient as the mean.
    Same unit as the values; ValueError for no value. Quadratic: meant for tens of values.

    Source: J. L. Hodges and E. L. Lehmann, "Estimates of Location Based on Rank Tests",
    Ann. Math. Statist. 34 (1963), 598-611.
    """
    return median([_midpoint(a, b) for i, a in enumerate(values) for b in values[i:]])


def coefficient_of_variation(values: Sequence[float]) -> float:
    """Sample standard deviation (n - 1) over the mean, a share: 0.1 is 10 %.

    ValueError for fewer than two values, or one that is not positive and finite.

    >>> round(coefficient_of_variation([94.58, 95.37, 96.26]), 3)
    0.009
    >>> round(coefficient_of_variation([8.77, 12.28, 34.36]), 2)
    0.75
    """
    if len(values) < 2 or not all(0 < value < math.inf for value in values):
        raise ValueError("a coefficient of variation needs two or more positive finite values")
    # Scaled by the largest value, squares neither overflow nor underflow.
    largest = max(values)
    scaled = [value / largest for value in values]
    mean = math.fsum(scaled) / len(scaled)
    squares = math.fsum((value - mean) ** 2 for value in scaled)
    return math.sqrt(squares / (len(scaled) - 1)) / mean


@dataclass(frozen=True)
class BaselineInterval:
    """How much worse a session is than the stored ones, as a natural logarithm.

    Positive is worse, whichever direction is better for the metric; exp(difference) - 1 is the
    share. ``lower`` and ``upper`` are one-sided bounds, each at :data:`CONFIDENCE`.
    """

    difference: float
    lower: float
    upper: float
    sessions: int


def baseline_interval(
    current: Sequence[float],
    sessions: Sequence[Sequence[float]],
    better: Literal["lower", "higher"],
) -> BaselineInterval:
    """Compare a session's repetitions with those of K >= 1 stored sessions of the same tier.

    ::

        h_k = Hodges-Lehmann of the logs of session k       h = the same for this session
        d   = s · (h - mean of h_k)                         s = -1 where more is better
        s²  = (4 · 0.02² + (K - 1) · s_h²) / (K + 3)        s_h² = sample variance of h_k
        interval: d ± t(.95, K + 3) · s · √(1 + 1/K)

    The unit is a session, not a repetition, because repetitions of one day share that day's
    state. The prior of 2 % with 4 degrees of freedom stands in while there are few sessions.

    ValueError for no session, or a value that is not positive and finite.

    Source: docs/judging.md ("Comparison with a stored baseline"); it is the prediction interval of
    one more normal observation with a scaled-inverse-χ² prior on the variance (Gelman et al.,
    Bayesian Data Analysis, 3rd ed., section 3.3).
    """
    levels = [_log_level(session) for session in sessions]
    if not levels:
        raise ValueError("a baseline needs at least one session")
    count = len(levels)
    mean = math.fsum(levels) / count
    squares = math.fsum((level - mean) ** 2 for level in levels)
    sign = -1.0 if better == "higher" else 1.0
    difference = sign * (_log_level(current) - mean)
    half = _half_width(count, squares)
    return BaselineInterval(difference, difference - half, difference + half, count)


def interval_between(
    baseline: Sequence[Sequence[float]],
    candidate: Sequence[Sequence[float]],
    better: Literal["lower", "higher"],
) -> BaselineInterval:
    """How much worse L sessions of a candidate are than K sessions of a baseline.

    ::

        d = s · (mean of h_l - mean of h_k)                     s = -1 where more is better
        s² = (4 · 0.02² + (K - 1) · s_K² + (L - 1) · s_L²) / (K + L + 2)
        interval: d ± t(.95, K + L + 2) · s · √(1/K + 1/L)

    With L = 1 it is :func:`baseline_interval`. ``sessions`` of the result is K + L. Both groups
    are taken to have one variance (Student's pooled t with the same prior). ValueError for a group
    without a session, or a value that is not positive and finite.

    Source: docs/baselines.md ("Compare").
    """
    groups = [[_log_level(session) for session in group] for group in (baseline, candidate)]
    if not all(groups):
        raise ValueError("baseline and candidate need at least one session each")
    means = [math.fsum(levels) / len(levels) for levels in groups]
    squares = math.fsum(
        (level - mean) ** 2 for levels, mean in zip(groups, means, strict=True) for level in levels
    )
    sign = -1.0 if better == "higher" else 1.0
    difference = sign * (means[1] - means[0])
    half = _half_width_between(len(baseline), len(candidate), squares)
    count = len(baseline) + len(candidate)
    return BaselineInterval(difference, difference - half, difference + half, count)


def level(values: Sequence[float]) -> float:
    """One session's level of one metric: exp of the Hodges-Lehmann estimate of the logs.

    ValueError for no value or one that is not positive.

    >>> round(level([94.58, 95.37, 96.26]), 2)
    95.39
    """
    return math.exp(_log_level(values))


def standing(interval: BaselineInterval, noticeable: float, margin: float) -> Standing:
    """The conclusion that an interval supports; both limits are shares (0.01 and 0.10).

    ``consistent``: the upper bound is under the margin; ``suspect``: the lower bound is over the
    noticeable difference and the upper one is not under the margin; ``unknown``: neither.
    """
    if interval.upper < math.log1p(margin):
        return "consistent"
    if interval.lower > math.log1p(noticeable):
        return "suspect"
    return "unknown"


def sessions_to_decide(margin: float, limit: int = 50) -> int:
    """The least number of stored sessions that can show "no slower than ``margin``" at all.

    Assumes that the sessions agree perfectly with each other and with the new one; 0 where
    ``limit`` of them are not enough.
    """
    for count in range(1, limit + 1):
        if _half_width(count, 0.0) < math.log1p(margin):
            return count
    return 0


@dataclass(frozen=True)
class ShareInterval:
    """The mean of ``count`` values of 0 to 1, with two-sided bounds at :data:`CONFIDENCE`."""

    mean: float
    lower: float
    upper: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.1%} ({self.lower:.1%} to {self.upper:.1%}, n = {self.count})"


def share_interval(values: Sequence[float]) -> ShareInterval:
    """Wilson's score interval around the mean of values of 0 to 1, two-sided 95 %.

    For values of 0 or 1 it is the usual one. For values between, such as the VQA accuracy, it is
    wider than needed, because their variance is at most mean · (1 - mean) (Bhatia and Davis,
    Amer. Math. Monthly 107 (2000), 353-357). It never collapses to a point, as a bootstrap of
    nothing but correct answers does, and never leaves 0..1. ValueError for no value or one outside.

    Source: E. B. Wilson, J. Amer. Statist. Assoc. 22 (1927), 209-212; docs/judging.md ("Shares,
    variation and slopes").

    >>> print(share_interval([1.0] * 11 + [0.0] * 9))
    55.0% (34.2% to 74.2%, n = 20)
    """
    if not values or not all(0 <= value <= 1 for value in values):
        raise ValueError("a share needs one or more values of 0 to 1")
    count = len(values)
    mean = math.fsum(values) / count
    z = _z()
    weight = z * z / count
    centre = (mean + weight / 2) / (1 + weight)
    half = z * math.sqrt(mean * (1 - mean) / count + weight / (4 * count)) / (1 + weight)
    lower, upper = max(0.0, centre - half), min(1.0, centre + half)
    return ShareInterval(mean, min(mean, lower), max(mean, upper), count)


@dataclass(frozen=True)
class Slope:
    """A slope per step, with two-sided bounds at :data:`CONFIDENCE`."""

    value: float
    lower: float
    upper: float


def theil_sen(values: Sequence[float]) -> Slope:
    """The Theil-Sen slope of equally spaced values: median of (v_j - v_i) / (j - i) over i < j.

    Robust: it breaks down at 29 % outliers, so a few steps of an allocator do not make a slope.
    Unit of the values, per step; ValueError for fewer than three values or one that is not finite.
    Quadratic: meant for tens of values.

    Source: P. K. Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau",
    J. Amer. Statist. Assoc. 63 (1968), 1379-1389; the bounds by its equation 2.6.

    >>> theil_sen([0.0, 2.0, 4.0, 60.0, 8.0, 10.0, 12.0]).value
    2.0
    """
    if len(values) < 3 or not all(math.isfinite(value) for value in values):
        raise ValueError("a slope needs three or more finite values")
    slopes = sorted(
        (later - earlier) / steps
        for steps in range(1, len(values))
        for earlier, later in zip(values, values[steps:], strict=False)
    )
    # The variance of Kendall's score, less what equal values take from it.
    ties = sum(_score_variance(count) for count in Counter(values).values())
    half = _z() * math.sqrt(_score_variance(len(values)) - ties)
    lower = max(round((len(slopes) - half) / 2) - 1, 0)
    upper = min(round((len(slopes) + half) / 2), len(slopes) - 1)
    return Slope(median(slopes), slopes[lower], slopes[upper])


def _score_variance(count: int) -> float:
    return count * (count - 1) * (2 * count + 5) / 18


def is_beyond_chance(successes: int, count: int, chance: float) -> bool:
    """Whether ``successes`` among ``count`` trials are more than chance gives.

    ``chance`` is the probability of a success. One-sided exact binomial test at
    :data:`RARE`.
    """
    return binomial_tail(successes, count, chance) < RARE


def drift(intervals: Sequence[float]) -> float:
    """Latency between tokens at the end over that at the beginning: 1.1 is 10 % slower.

    The median of the last quarter of the intervals over that of the first quarter, in the order in
    which they were observed (equal requests may be appended to each other). Medians, because a
    pause of the scheduler is no drift. ValueError for fewer than eight intervals, or one that is
    not positive and finite.

    Source: docs/measuring.md ("Drift"): sensors have reported "nominal" on a machine that
    throttled.

    >>> drift([0.01] * 30 + [0.012] * 10)
    1.2
    """
    if len(intervals) < 8 or not all(0 < interval < math.inf for interval in intervals):
        raise ValueError("a drift needs eight or more positive intervals")
    quarter = len(intervals) // 4
    return median(intervals[-quarter:]) / median(intervals[:quarter])


def departure(before: Sequence[float], after: Sequence[float]) -> float:
    """The larger of two medians over the smaller: how far two runs of one request are apart.

    A machine that was slower at the beginning changed as much as one that was slower at the end.
    ValueError for no value, or one that is not positive and finite.

    >>> departure([100.0, 101.0, 99.0], [95.0])
    1.0526315789473684
    """
    if not all(0 < value < math.inf for value in (*before, *after)):
        raise ValueError("a departure needs positive values")
    low, high = sorted((median(before), median(after)))
    return high / low


def _log_level(values: Sequence[float]) -> float:
    if not values or not all(0 < value < math.inf for value in values):
        raise ValueError("a session needs one or more positive finite values")
    return hodges_lehmann([math.log(value) for value in values])


def _half_width(count: int, squares: float) -> float:
    """``squares`` is (K - 1) · s_h²: the sum of squared deviations of the sessions' log levels."""
    return _half_width_between(count, 1, squares)


def _half_width_between(baseline: int, candidate: int, squares: float) -> float:
    # The prior counts as PRIOR_DEGREES more deviations of PRIOR_SD; each mean costs one degree.
    degrees = baseline + candidate + PRIOR_DEGREES - 2
    variance = (PRIOR_DEGREES * PRIOR_SD**2 + squares) / degrees
    quantile = student_quantile(CONFIDENCE, degrees)
    return quantile * math.sqrt(variance * (1 / baseline + 1 / candidate))


def _z() -> float:
    """The two-sided normal quantile at :data:`CONFIDENCE`."""
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
