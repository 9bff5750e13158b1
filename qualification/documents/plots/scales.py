"""From values to places on a line, with round ticks, linear or logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from qualification.documents.plots.matplotlib_import import import_matplotlib

_LEAST, _MOST = 1e-9, 1e18
"""A value beyond these is no measurement, and would press all others into one point."""

_LOG_FROM = 10.0
"""A logarithmic scale where the largest value is over so many times the smallest."""


def is_number(value: float | None) -> TypeGuard[float]:
    """Whether a value can be drawn."""
    return value is not None and math.isfinite(value) and abs(value) <= _MOST


def is_positive(value: float | None) -> TypeGuard[float]:
    """Whether a value can be drawn as a length, or on a logarithmic scale."""
    return is_number(value) and value >= _LEAST


@dataclass(frozen=True)
class Scale:
    """Values from ``low`` to ``high`` lie from ``start`` to ``end``; those beyond at the ends."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        bounded = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(bounded / self.low) / math.log(self.high / self.low)
        else:
            share = (bounded - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[tuple[float, str]]:
        """Places and texts of at most so many round values."""
        import_matplotlib()
        from matplotlib.ticker import LogLocator, MaxNLocator

        steps = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])
        values = self._within(steps.tick_values(self.low, self.high))
        if self.is_log:
            for digits in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
                locator = LogLocator(subs=digits, numticks=100)
                decades = self._within(locator.tick_values(self.low, self.high))
                if len(decades) <= most + 1:
                    break
            decades = decades[:: math.ceil(len(decades) / (most + 1)) or 1]
            values = decades if len(decades) > 2 else values
        return [(self(value), tick_text(value)) for value in values]

    def _within(self, values: Sequence[float]) -> list[float]:
        slack = 1e-9 * (self.high - self.low)
        return [float(v) for v in values if self.low - slack <= v <= self.high + slack]


def scale_of(values: Sequence[float], start: float, end: float) -> Scale:
    """A scale over these values, with some room; logarithmic where they differ that much."""
    low, high = min(values), max(values)
    if low >= _LEAST and high / low > _LOG_FROM:
        return Scale(low / 1.08, high * 1.08, start, end, is_log=True)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    floor = 0.0 if low >= 0 else -math.inf
    return Scale(max(low - room, floor), high + room, start, end)


def tick_text(value: float) -> str:
    """``20``, ``0.25``, ``1,500``, ``1e+12``."""
    if value and not 1e-4 <= abs(value) < 1e9:
        text = f"{value:.3g}"
    else:
        text = f"{value:,.6f}".rstrip("0").rstrip(".") if abs(value) < 1e3 else f"{value:,.0f}"
    return text.replace("-", "−")


def axis_unit(largest: float, unit: str) -> tuple[float, str]:
    """The size and the name of the unit that suits values up to ``largest`` of a metric's unit."""
    if unit == "share":
        return 0.01, "%"
    choices = {
        "B": ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1.0, "B")),
        "s": ((1.0, "s"), (1e-3, "ms")),
    }.get(unit, ((1.0, unit),))
    return next((choice for choice in choices if largest >= choice[0]), choices[-1])
