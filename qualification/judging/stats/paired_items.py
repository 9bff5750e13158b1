"""A and B answered the same items: has B lost more correct answers than m allows? Pure.

Only items whose answers were compared one to one belong here; where all answers are identical the
caller passes without a test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from qualification.judging.stats.sequential import ALPHA

MARGIN = 0.02
"""Equivalence bound: the loss of correct answers that is too much, a share of the items.

Source: docs/judging.md ("Limits of each metric").
"""

POWER_Z = 0.8416
"""Standard normal quantile of 80 %."""

ItemsName = Literal["pass", "regressed", "open"]


@dataclass(frozen=True)
class ItemsDecision:
    """The decision that the items support; ``open`` leaves it to the caller to ask more items.

    ``loss`` is (lost - gained) / items, positive is worse; ``lower`` and ``upper`` bound it, each
    at 1 - 1/64 for itself. Only A was correct on the ``lost`` items, only B on the ``gained``.
    """

    name: ItemsName
    loss: float
    lower: float
    upper: float
    items: int
    lost: int
    gained: int
    sentence: str


def judge_items(
    a_correct: Sequence[bool], b_correct: Sequence[bool], *, margin: float = MARGIN
) -> ItemsDecision:
    """Judge whether A and B were correct on the same items, in the same order.

    ``regressed``: the lower bound of the loss is over 0 and McNemar's exact one-sided test has
    p <= 1/64; ``pass``: the upper bound is under the margin; where both hold, ``pass``, as in the
    sequential test. ValueError for no item, unequal lengths or a margin outside 0..1.
    """
    if len(a_correct) != len(b_correct) or not a_correct or not 0 < margin < 1:
        raise ValueError("paired items need one or more answers of A and of B, a margin in 0..1")
    pairs = list(zip(a_correct, b_correct, strict=True))
    lost = sum(1 for a, b in pairs if a and not b)
    gained = sum(1 for a, b in pairs if b and not a)
    items = len(pairs)
    lower, upper = loss_bounds(lost, gained, items)
    name: ItemsName = "open"
    if upper < margin:
        name = "pass"
    elif lower > 0 and mcnemar(lost, gained) <= ALPHA:
        name = "regressed"
    loss = (lost - gained) / items
    sentence = (
        f"of {items} items the candidate lost {lost} and gained {gained}: "
        f"{100 * loss:+.1f} points of loss"
        f" ({100 * lower:+.1f} to {100 * upper:+.1f}), {_meaning(name, margin)}"
    )
    if name == "open":
        needed = items_needed(lost, gained, items, margin)
        sentence += f"; if B is as good as A, about {needed} items would show it"
    return ItemsDecision(name, loss, lower, upper, items, lost, gained, sentence)


def mcnemar(lost: int, gained: int) -> float:
    """Exact one-sided p-value of "more items are lost than gained", given how many differ.

    Source: Q. McNemar, Psychometrika 12 (1947), 153-157; exact by the binomial distribution.

    >>> mcnemar(6, 0) == 1 / 64
    True
    """
    differ = lost + gained
    ways = sum(math.comb(differ, count) for count in range(lost, differ + 1))
    return ways / (1 << differ)


def loss_bounds(lost: int, gained: int, items: int) -> tuple[float, float]:
    """Tango's score bounds of (lost - gained) / items, each one-sided at 1 - 1/64.

    They keep their level where few items differ, and never collapse to a point, where Wald's
    interval would pass a handful of items. The bounds that decide are exact in effect: enumerated
    for 30 to 800 items, the upper bound misses a loss of two points, and the lower one no loss, at
    most 1.00 times 1/64. The lower bound of a real loss, which is only reported, misses up to 1.7
    times 1/64 where nothing is gained (tests/judging/stats/test_paired_items.py).

    Source: T. Tango, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design", Statist. Med. 17 (1998), 891-908, equations 9 and 12.
    """
    lower = -_upper_bound(gained, lost, items)
    upper = _upper_bound(lost, gained, items)
    return lower, upper


def items_needed(lost: int, gained: int, items: int, margin: float = MARGIN) -> int:
    """How many items pass with 80 % power if B is as good as A: (z(1/64) + z(.8))² · q / m².

    q is the share of items that differ. That is 9.0 · q / m²; the reference design's 6.2 · q / m²
    holds at 5 % instead of 1/64. Never fewer than z² · (1 - m) / m, which pass if no item differs:
    228 for two points. Source: docs/judging.md ("Accuracy on paired items").
    """
    z = _z()
    for_power = (z + POWER_Z) ** 2 * (lost + gained) / items / margin**2
    return math.ceil(max(for_power, z * z * (1 - margin) / margin))


def _upper_bound(lost: int, gained: int, items: int) -> float:
    """The loss at which the score is -z: the score falls from the estimate up to a loss of 1."""
    estimate = (lost - gained) / items
    if estimate == 1:
        return 1.0
    # The score is infinite at a loss of 1, and bisection needs nothing but its sign.
    low, high, z = estimate, 1.0, _z()
    while high - low > 1e-12:
        middle = (low + high) / 2
        if _score(lost, gained, items, middle) > -z:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _score(lost: int, gained: int, items: int, loss: float) -> float:
    """(lost - gained - n·loss) over its standard deviation at that loss; negative above it."""
    above = lost - gained - items * loss
    if math.isclose(above, 0, abs_tol=1e-12):
        return 0.0
    # Tango's quadratic: its larger root is the likeliest probability, given this loss, of an item
    # that only B has correct.
    a = 2 * items
    b = (2 * items - lost + gained) * loss - lost - gained
    c = -gained * loss * (1 - loss)
    rarer = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = items * (2 * rarer + loss * (1 - loss))
    return above / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, above)


def _z() -> float:
    return -NormalDist().inv_cdf(ALPHA)


def _meaning(name: ItemsName, margin: float) -> str:
    points = f"{100 * margin:g}"
    return {
        "pass": f"less than {points} points",
        "regressed": "a loss beyond chance",
        "open": f"neither a loss beyond chance nor less than {points} points",
    }[name]
