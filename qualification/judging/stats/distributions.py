"""The two distributions that the statistics' standard module lacks: binomial and Student's t."""

from __future__ import annotations

import math
from functools import cache


def binomial_tail(successes: int, count: int, chance: float) -> float:
    """P(at least ``successes`` of ``count`` independent trials), each with probability ``chance``.

    The terms of the binomial distribution, summed from the largest of the tail outwards; the
    digits are those of ``lgamma``: 11 at a thousand trials, 8 at a million. ValueError where
    ``chance`` is not between 0 and 1.
    """
    if not 0 < chance < 1:
        raise ValueError("the chance of a success must be between 0 and 1")
    if successes <= 0:
        return 1.0
    if successes > count:
        return 0.0
    if successes <= count * chance:  # the other tail is the short sum
        return 1.0 - binomial_tail(count - successes + 1, count, 1 - chance)
    term = math.exp(
        math.lgamma(count + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(count - successes + 1)
        + successes * math.log(chance)
        + (count - successes) * math.log1p(-chance)
    )
    tail = term
    odds = chance / (1 - chance)
    for number in range(successes, count):
        term *= odds * (count - number) / (number + 1)
        tail += term
        if term < 1e-17 * tail:
            break
    return min(1.0, tail)


@cache
def student_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t with whole ``degrees`` of freedom; probability in [0.5, 1).

    The distribution function is a finite sum, so its inverse is found by bisection.

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions (1964), equations
    26.7.3 and 26.7.4. ValueError outside the ranges.

    >>> round(student_quantile(0.95, 4), 4)
    2.1318
    """
    if degrees < 1 or not 0.5 <= probability < 1:
        raise ValueError("Student's t needs one degree of freedom or more, a probability in .5..1")
    low, high = 0.0, math.pi / 2
    while low < (angle := (low + high) / 2) < high:
        if (1 + _student_within(angle, degrees)) / 2 < probability:
            low = angle
        else:
            high = angle
    return math.sqrt(degrees) * math.tan(high)


def _student_within(angle: float, degrees: int) -> float:
    """P(-t <= T <= t) for t = √degrees · tan(angle)."""
    odd = degrees % 2
    cosine = math.cos(angle)
    term = cosine if odd else 1.0
    total = 0.0
    for number in range(1 + odd, degrees, 2):
        total += term
        term *= cosine**2 * number / (number + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
