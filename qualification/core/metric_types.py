"""What a metric is, and the limits that decide about it.

The table of metrics is in ``core/metrics.py``. It is filled with what other packages register, so
their modules import these types from here, before the table exists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher"]

MAY_BE_ZERO = {
    "share": "a share of 0 to 1",
    "count": "a number of 0 or more",
    "B/request": "a finite number",
}
"""Unit -> what a valid number is, where it need not be positive."""


@dataclass(frozen=True)
class Limits:
    """A slowdown up to ``noticeable`` (δ₀) counts as none, one of ``margin`` (m) as a regression.

    Both are shares: the indifference bound and the equivalence bound of docs/glossary.md.
    """

    noticeable: float
    margin: float

    def __post_init__(self) -> None:
        if not 0 <= self.noticeable < self.margin < math.inf:
            raise ValueError("limits are shares with 0 <= noticeable < margin")

    @property
    def logs(self) -> tuple[float, float]:
        """ln(1 + δ₀) and ln(1 + m)."""
        return math.log1p(self.noticeable), math.log1p(self.margin)


@dataclass(frozen=True)
class Metric:
    """``unit`` is SI or a count; ``label`` is its name in a sentence ('' if no sentence names it).

    ``gate`` are the limits between two interleaved environments, ``baseline`` those against stored
    sessions, which are wider (docs/judging.md, "Limits of each metric"). None: it is not judged.
    """

    name: str
    unit: str
    better: Better
    label: str = ""
    gate: Limits | None = None
    baseline: Limits | None = None

    def __post_init__(self) -> None:
        """Refuse limits that no finding could be made of."""
        if self.gate is None and self.baseline is None:
            return
        if not self.label:
            raise ValueError(f"{self.name} has limits, so it needs a label for sentences")
        if self.unit in MAY_BE_ZERO:
            raise ValueError(f"{self.name} has limits, which are ratios: its unit may be zero")
