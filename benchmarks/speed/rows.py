"""The result of a benchmark: ratios of pairs, their median and its interval, as a table row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binom

from qualification.judging.stats.estimators import median


@dataclass(frozen=True)
class Row:
    """One figure. ``values`` are ratios of pairs (or single values), ``goal`` its two limits.

    ``ours`` and ``theirs`` name the two for a reader, with medians and units.
    """

    id: str
    values: tuple[float, ...]
    goal: tuple[float, float]
    ours: str
    theirs: str
    unit: str = "ratio"

    @property
    def value(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """An interval of at least 95 % for the median where there are six values or more."""
        return median_interval(self.values)

    @property
    def ok(self) -> bool:
        """Whether the median is within the goal."""
        low, high = self.goal
        return low <= self.value <= high


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the order statistics that enclose the median with 95 %, whatever the distribution.

    By the sign test; under six values there is none so sure, and the extremes are returned.
    """
    ordered = sorted(values)
    count = len(ordered)
    skip = 0
    while skip + 1 < count / 2 and 2 * binom.cdf(skip, count, 0.5) <= 0.05:
        skip += 1
    place = max(0, skip - 1)
    return ordered[place], ordered[count - 1 - place]


def goal_text(goal: tuple[float, float]) -> str:
    """Return a goal as it is written in the table."""
    low, high = goal
    if math.isinf(high):
        return f"≥ {low:g}"
    return f"≤ {high:g}" if low == -math.inf else f"{low:g} – {high:g}"
