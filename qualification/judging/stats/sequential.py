"""The rule of the upgrade gate: a growing series of pairs in, a decision out. Pure.

A pair is one fresh process of A and one of B, back to back, the order by a fair coin; x is
:func:`log_ratio`, positive is worse. The coin makes x symmetric around 0 where A and B do not
differ, whatever the drift, and that is all that the signed-rank test needs.

At 6, 9, 13, 20 and 30 pairs two exact one-sided tests are asked (``p_regressed`` on
x - ln(1 + δ₀), ``p_pass`` on ln(1 + m) - x) and the series ends at the first p of 1/64 or less.
A regression must be confirmed by the same rule on fresh pairs. docs/judging.md has the figures and
the reasons; benchmarks/gate_simulation.py makes the figures.

Source: the project's JUDGING ("The upgrade gate").
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Literal

from qualification.core.metrics import Limits
from qualification.judging.stats.estimators import hodges_lehmann, median

LOOKS = (6, 9, 13, 20, 30)
"""Pairs after which a series is judged."""

ALPHA = 1 / 64
"""Of each one-sided test at each look: what six pairs of one sign reach exactly."""

HOPE = {9: 0.52, 13: 0.56}
"""Pairs after which a series may be given up -> what turns 1.4826 · MAD of so many pairs into a
99 % lower bound of a normal scale (1 over the 99 % point of 1.4826 · MAD, simulated)."""

SPREAD = 3.15
"""Standard errors between "no difference" and an effect that is found with 80 % (JUDGING)."""

Stage = Literal["first", "confirmation"]
Name = Literal["open", "pass", "regressed", "inconclusive", "unfit"]


@dataclass(frozen=True)
class Look:
    """What one look saw: ``pairs`` of its own stage, and the two p-values."""

    pairs: int
    p_regressed: float
    p_pass: float
    stage: Stage = "first"


@dataclass(frozen=True)
class Decision:
    """What a series supports, and how many pairs it takes to ask again.

    ``pairs`` have been used, of both stages together; ``wanted`` is the total after which to ask
    again, 0 where all is decided. ``stage`` is the one that decided or is still open.
    """

    name: Name
    stage: Stage
    pairs: int
    wanted: int
    looks: tuple[Look, ...]
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
    the others and then count for neither side (Pratt), so they never make a p smaller. 1 where
    there is no other value.

    ``scipy.stats.wilcoxon(method="exact")`` agrees where there are neither ties nor zeros and is
    not exact where there are; counting is short enough to serve both. Of up to 30 values it takes
    milliseconds. ValueError for no value, or one that is not finite.

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

    ``futility=False`` never says ``unfit``; it is there for the simulation. ValueError for a
    value that is not finite.
    """
    _check(x, least=0)
    first = _stage(x, limits, "first", futility)
    if first.name != "regressed":
        return first
    begun = first.pairs
    second = _stage(x[begun:], limits, "confirmation", futility)
    looks = first.looks + second.looks
    pairs = begun + second.pairs
    if second.name == "open":
        reason = f"worse after {begun} pairs; to be confirmed by fresh ones"
        return Decision("open", "confirmation", pairs, begun + second.wanted, looks, reason)
    if second.name == "regressed":
        reason = f"worse after {begun} pairs, and again in {second.pairs} fresh ones"
        return Decision("regressed", "confirmation", pairs, 0, looks, reason)
    reason = f"worse after {begun} pairs, but not confirmed: {second.reason}"
    return Decision("inconclusive", "confirmation", pairs, 0, looks, reason)


def is_hopeless(x: Sequence[float], limits: Limits) -> bool:
    """Say whether even 30 pairs could not tell δ₀ from m, on a kind reading of this scatter.

    At 9 and 13 pairs: 3.15 · f · s / √30 > ln(1 + m) - ln(1 + δ₀), with s = 1.4826 · MAD and f of
    :data:`HOPE`. JUDGING has f = 1, at 9 pairs only; but the MAD of nine values is so rough that
    it cost a fifth of the power at 5 % on a machine with two modes (docs/judging.md).
    """
    none, much = limits.logs
    kind = HOPE.get(len(x), 0.0) * scale(x)
    return SPREAD * kind / math.sqrt(LOOKS[-1]) > much - none


def scale(x: Sequence[float]) -> float:
    """1.4826 · MAD: the standard deviation of normal values, deaf to outliers.

    Source: F. R. Hampel, J. Amer. Statist. Assoc. 69 (1974), 383-393.
    """
    centre = median(x)
    return 1.4826 * median([abs(value - centre) for value in x])


@dataclass(frozen=True)
class Effect:
    """How much worse B is than A, as factors over 1 where it is worse, and what could be seen.

    ``ratio`` is the Hodges-Lehmann estimate; ``lower`` and ``upper`` bound it, each at 1 - 1/64
    for itself, so 97 % together; with fewer than six pairs they are 0 and infinite. ``mde80`` is
    the share of a slowdown that so many pairs of this scatter find with 80 %.
    """

    ratio: float
    lower: float
    upper: float
    pairs: int
    mde80: float


def effect(x: Sequence[float], limits: Limits) -> Effect:
    """Estimate from log ratios in any order; the interval inverts :func:`p_greater`.

    mde80 = (1 + δ₀) · exp(3.15 · s / √N) - 1 with s = 1.4826 · MAD (JUDGING). The interval holds
    for a fixed number of pairs: that the series stopped where it did makes it a little narrow.
    ValueError for no value, or one that is not finite.
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
    none, much = limits.logs
    looks: list[Look] = []

    def decided(name: Name, reason: str) -> Decision:
        return Decision(name, stage, looks[-1].pairs, 0, tuple(looks), reason)

    for pairs in LOOKS:
        if pairs > len(x):
            reason = f"not decided; the next look is after {pairs} pairs"
            return Decision("open", stage, len(x), pairs, tuple(looks), reason)
        seen = x[:pairs]
        p_regressed = p_greater([value - none for value in seen])
        p_pass = p_greater([much - value for value in seen])
        looks.append(Look(pairs, p_regressed, p_pass, stage))
        if p_pass <= ALPHA:
            return decided(
                "pass", f"worse by less than {100 * limits.margin:.3g} % (p = {p_pass:.2g})"
            )
        if p_regressed <= ALPHA:
            more = f"worse by more than {100 * limits.noticeable:.3g} % (p = {p_regressed:.2g})"
            return decided("regressed", more)
        if futility and is_hopeless(seen, limits):
            return decided("unfit", f"too noisy to decide: the pairs scatter by {scale(seen):.0%}")
    return decided("inconclusive", f"not decided by {LOOKS[-1]} pairs")


def _doubled_midranks(x: Sequence[float]) -> list[int]:
    """Twice the mean rank of each absolute value, so that they are whole numbers."""
    sizes = sorted(map(abs, x))
    first: dict[float, int] = {}
    last: dict[float, int] = {}
    for place, size in enumerate(sizes, 1):
        first.setdefault(size, place)
        last[size] = place
    return [first[abs(value)] + last[abs(value)] for value in x]


def _lower_bound(x: Sequence[float]) -> float:
    """The least centre that the test at ALPHA does not reject: a Walsh average, or -inf.

    The p-value of "the centre of x is over θ" grows with θ and changes only where θ passes a
    Walsh average (x_i + x_j) / 2, so it is enough to ask between them.
    """
    walsh = sorted({a / 2 + b / 2 for i, a in enumerate(x) for b in x[i:]})
    if 0.5 ** len(x) > ALPHA:
        return -math.inf
    between = [a / 2 + b / 2 for a, b in pairwise(walsh)]

    def is_kept(place: int) -> bool:
        return p_greater([value - between[place] for value in x]) > ALPHA

    return walsh[bisect_left(range(len(between)), True, key=is_kept)]


def _exp(log: float) -> float:
    return math.exp(log) if log < 709 else math.inf


@lru_cache(maxsize=256)
def _tail(ranks: tuple[int, ...]) -> tuple[float, ...]:
    """Probability that fair signs give these ranks a positive sum of at least 0, 1, 2, …"""
    ways = [1]
    for rank in ranks:
        more = [0] * rank
        ways = [a + b for a, b in zip(ways + more, more + ways, strict=True)]
    total = 1 << len(ranks)
    at_least = list(accumulate(reversed(ways)))
    return tuple(count / total for count in reversed(at_least))


def _check(x: Sequence[float], least: int = 1) -> None:
    if len(x) < least or not all(math.isfinite(value) for value in x):
        raise ValueError(f"a series of pairs needs {least} or more finite values")
