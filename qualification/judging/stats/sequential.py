"""The sequential test of the upgrade gate: a growing series of pairs in, a decision out. Pure.

A pair is one fresh process of A and one of B, back to back, the order by a fair coin; x is
:func:`log_ratio`, positive is worse. The coin makes x symmetric around 0 where A and B do not
differ, whatever the drift, and that is all that the signed-rank test needs.

The interim analyses at 6, 9, 13, 20 and 30 pairs run two exact one-sided tests (``p_regressed`` on
x - ln(1 + δ₀), ``p_pass`` on ln(1 + m) - x); the series ends at the first p of 1/64 or less.
A regression must be confirmed by the same test on fresh pairs.

Source: docs/judging.md ("The sequential test"); benchmarks/gate/simulation.py makes its figures.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Literal

from qualification.core.metric_types import Limits
from qualification.judging.stats.estimators import hodges_lehmann, median

ANALYSIS_PAIRS = (6, 9, 13, 20, 30)
"""Numbers of pairs at which there is an interim analysis."""

ALPHA = 1 / 64
"""Level of each one-sided test at each interim analysis: what six pairs of one sign reach."""

FUTILITY_FACTORS = {9: 0.52, 13: 0.56}
"""Number of pairs -> factor that turns 1.4826 · MAD into a 99 % lower confidence bound of σ
(simulated). Futility is checked at these numbers of pairs."""

SPREAD = 3.15
"""Standard errors between "no difference" and an effect that is found with 80 % power.

Source: docs/judging.md ("The reference design").
"""

Stage = Literal["first", "confirmation"]
Name = Literal["open", "pass", "regressed", "inconclusive", "unfit"]


@dataclass(frozen=True)
class InterimAnalysis:
    """The two p-values after ``pairs`` pairs of its own stage."""

    pairs: int
    p_regressed: float
    p_pass: float
    stage: Stage = "first"


@dataclass(frozen=True)
class Decision:
    """The state of a series, and the number of pairs at its next interim analysis.

    ``pairs`` of both stages together were used; ``next_pairs`` is their total at that analysis, 0
    once the series is decided. ``stage`` is the one that decided or is still open.
    """

    name: Name
    stage: Stage
    pairs: int
    next_pairs: int
    analyses: tuple[InterimAnalysis, ...]
    reason: str


def log_ratio(a: float, b: float, better: Literal["lower", "higher"]) -> float:
    """ln(B / A), turned so that positive is worse: 0.0488 is 5 % worse.

    ValueError for a value that is not positive and finite.
    """
    if not (0 < a < math.inf and 0 < b < math.inf):
        raise ValueError(f"a ratio needs two positive finite values, not {a!r} and {b!r}")
    difference = math.log(b) - math.log(a)
    return -difference if better == "higher" else difference


def p_greater(x: Sequence[float]) -> float:
    """Exact one-sided signed-rank p-value of "the centre of x is over 0".

    The probability that fair signs give a sum of positive ranks at least as large as this one,
    given the absolute values. Equal absolute values share their mean rank. Zeros are ranked with
    the other values and then count for neither sign (Pratt), so they never make p smaller; where
    all values are zero, p is 1.

    ``scipy.stats.wilcoxon(method="exact")`` agrees without ties and zeros and is not exact with
    them, so the assignments of signs are counted here; 30 values take milliseconds. ValueError for
    no value, or one that is not finite.

    Source: J. W. Pratt, "Remarks on Zeros and Ties in the Wilcoxon Signed Rank Procedures",
    J. Amer. Statist. Assoc. 54 (1959), 655-667.

    >>> p_greater([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == 1 / 64
    True
    """
    _check(x)
    ranks = _doubled_midranks(x)
    observed = sum(rank for rank, value in zip(ranks, x, strict=True) if value > 0)
    signed = tuple(sorted(rank for rank, value in zip(ranks, x, strict=True) if value != 0))
    return _tail(signed)[observed]


def judge_series(x: Sequence[float], limits: Limits, *, futility: bool = True) -> Decision:
    """Judge all pairs so far, in their order; once decided, further pairs change nothing.

    ``futility=False`` never returns ``unfit``; it is there for the simulation. ValueError for a
    value that is not finite.
    """
    _check(x, least=0)
    initial = _stage(x, limits, "first", futility)
    if initial.name != "regressed":
        return initial
    # Only fresh pairs confirm: the first ones were selected for looking bad.
    begun = initial.pairs
    confirmation = _stage(x[begun:], limits, "confirmation", futility)
    analyses = initial.analyses + confirmation.analyses
    pairs = begun + confirmation.pairs
    if confirmation.name == "open":
        reason = f"worse after {begun} pairs; to be confirmed by fresh ones"
        total = begun + confirmation.next_pairs
        return Decision("open", "confirmation", pairs, total, analyses, reason)
    if confirmation.name == "regressed":
        reason = f"worse after {begun} pairs, and again in {confirmation.pairs} fresh ones"
        return Decision("regressed", "confirmation", pairs, 0, analyses, reason)
    reason = f"worse after {begun} pairs, but not confirmed: {confirmation.reason}"
    return Decision("inconclusive", "confirmation", pairs, 0, analyses, reason)


def is_futile(x: Sequence[float], limits: Limits) -> bool:
    """Whether even 30 pairs of this scatter could not separate δ₀ from m.

    At 9 and 13 pairs: 3.15 · f · s / √30 > ln(1 + m) - ln(1 + δ₀), with s = 1.4826 · MAD and f of
    :data:`FUTILITY_FACTORS`. The reference design has f = 1, at 9 pairs only; but the MAD of nine
    values is so rough that this cost a fifth of the power at 5 % on a machine with two modes.

    Source: docs/judging.md ("Futility stopping").
    """
    noticeable, margin = limits.logs
    sigma_bound = FUTILITY_FACTORS.get(len(x), 0.0) * scale(x)
    return SPREAD * sigma_bound / math.sqrt(ANALYSIS_PAIRS[-1]) > margin - noticeable


def scale(x: Sequence[float]) -> float:
    """1.4826 · MAD: the standard deviation of normal values, robust to outliers.

    Source: F. R. Hampel, J. Amer. Statist. Assoc. 69 (1974), 383-393.
    """
    centre = median(x)
    return 1.4826 * median([abs(value - centre) for value in x])


@dataclass(frozen=True)
class Effect:
    """How much worse B is than A, as factors (over 1 is worse), and the least detectable effect.

    ``ratio`` is the Hodges-Lehmann estimate; ``lower`` and ``upper`` bound it, each at 1 - 1/64
    for itself, so 97 % together; with fewer than six pairs they are 0 and infinite. ``mde80`` is
    the slowdown, as a share, that so many pairs of this scatter find with 80 % power.
    """

    ratio: float
    lower: float
    upper: float
    pairs: int
    mde80: float


def effect(x: Sequence[float], limits: Limits) -> Effect:
    """Estimate from log ratios in any order; the interval inverts :func:`p_greater`.

    mde80 = (1 + δ₀) · exp(3.15 · s / √N) - 1 with s = 1.4826 · MAD. The interval holds for a fixed
    number of pairs: a series that stops where it looks extreme makes it a little narrow.
    ValueError for no value, or one that is not finite.

    Source: docs/judging.md ("What is reported").
    """
    _check(x)
    lower = _lower_bound(x)
    upper = -_lower_bound([-value for value in x])
    spread = SPREAD * scale(x) / math.sqrt(len(x))
    return Effect(
        ratio=_exp(hodges_lehmann(x)),
        lower=_exp(lower),
        upper=_exp(upper),
        pairs=len(x),
        mde80=(1 + limits.noticeable) * _exp(spread) - 1,
    )


def _stage(x: Sequence[float], limits: Limits, stage: Stage, futility: bool) -> Decision:
    noticeable, margin = limits.logs
    analyses: list[InterimAnalysis] = []

    def decided(name: Name, reason: str) -> Decision:
        return Decision(name, stage, analyses[-1].pairs, 0, tuple(analyses), reason)

    for pairs in ANALYSIS_PAIRS:
        if pairs > len(x):
            reason = f"not decided; the next interim analysis is after {pairs} pairs"
            return Decision("open", stage, len(x), pairs, tuple(analyses), reason)
        # Later pairs are not looked at, so that a resumed series decides as an uninterrupted one.
        series = x[:pairs]
        p_regressed = p_greater([value - noticeable for value in series])
        p_pass = p_greater([margin - value for value in series])
        analyses.append(InterimAnalysis(pairs, p_regressed, p_pass, stage))
        if p_pass <= ALPHA:
            return decided(
                "pass", f"worse by less than {100 * limits.margin:.3g} % (p = {p_pass:.2g})"
            )
        if p_regressed <= ALPHA:
            more = f"worse by more than {100 * limits.noticeable:.3g} % (p = {p_regressed:.2g})"
            return decided("regressed", more)
        if futility and is_futile(series, limits):
            noise = f"too noisy to decide: the pairs scatter by {scale(series):.0%}"
            return decided("unfit", noise)
    return decided("inconclusive", f"not decided by {ANALYSIS_PAIRS[-1]} pairs")


def _doubled_midranks(x: Sequence[float]) -> list[int]:
    """Twice the mean rank of each absolute value, so that they are whole numbers."""
    sizes = sorted(map(abs, x))
    lowest: dict[float, int] = {}
    highest: dict[float, int] = {}
    for rank, size in enumerate(sizes, 1):
        lowest.setdefault(size, rank)
        highest[size] = rank
    return [lowest[abs(value)] + highest[abs(value)] for value in x]


def _lower_bound(x: Sequence[float]) -> float:
    """The least centre that the test at ALPHA does not reject: a Walsh average, or -inf."""
    # The smallest possible p is 2^-n: fewer than six pairs reject no centre at all.
    if 0.5 ** len(x) > ALPHA:
        return -math.inf
    walsh = sorted({a / 2 + b / 2 for i, a in enumerate(x) for b in x[i:]})
    # The p-value of "the centre of x is over θ" grows with θ and changes only where θ passes a
    # Walsh average (x_i + x_j) / 2. One θ between two neighbours therefore stands for all between
    # them, and bisection finds the smallest that is not rejected.
    between = [a / 2 + b / 2 for a, b in pairwise(walsh)]

    def is_not_rejected(place: int) -> bool:
        return p_greater([value - between[place] for value in x]) > ALPHA

    return walsh[bisect_left(range(len(between)), True, key=is_not_rejected)]


def _exp(log: float) -> float:
    return math.exp(log) if log < 709 else math.inf


@lru_cache(maxsize=256)
def _tail(ranks: tuple[int, ...]) -> tuple[float, ...]:
    """Probability that fair signs give these ranks a positive sum of at least 0, 1, 2, …"""
    # ways[k] is the number of signings whose positive ranks sum to k: each rank is added or not.
    ways = [1]
    for rank in ranks:
        shift = [0] * rank
        ways = [a + b for a, b in zip(ways + shift, shift + ways, strict=True)]
    total = 1 << len(ranks)
    at_least = list(accumulate(reversed(ways)))
    return tuple(count / total for count in reversed(at_least))


def _check(x: Sequence[float], least: int = 1) -> None:
    if len(x) < least or not all(math.isfinite(value) for value in x):
        raise ValueError(f"a series of pairs needs {least} or more finite values")
