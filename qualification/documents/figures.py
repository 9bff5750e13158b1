"""Numbers of a session as spans with their evidence; a missing one is a dash with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.format import NOTHING, bytes_text, number, quantity_text, seconds_text
from qualification.documents.model import Figure, Origin, Span, Tone
from qualification.judging.stats.estimators import median
from qualification.results.rows import Row

VERDICT_TONES: dict[str, Tone] = {
    "pass": "good", "no_baseline": "good", "usable": "good", "recommended": "good",
    "yes": "good", "fits": "good", "works": "good", "passed": "good",
    "failed": "bad", "regressed": "bad", "does_not_fit": "bad", "not recommended": "bad",
    "does not fit": "bad", "no": "bad", "fail": "bad", "fails": "bad", "error": "bad",
}  # fmt: skip
"""Any other word is open."""


@dataclass(frozen=True)
class Figures:
    """Makes the spans of one session; ``source`` names it in the evidence of each number."""

    source: str

    def of(self, row: Row, values: Sequence[float], unit: str, *, bare: bool = False) -> Span:
        """The median of trials of a row; ``bare``: without a unit that stands above."""
        return self.span(values, unit, origin(row), bare=bare)

    def peak(self, row: Row) -> Span:
        """The most memory that it took; a verdict and the first screen take the same."""
        most = max(row.peak_memory_bytes, default=None)
        if most is None or not math.isfinite(most):
            return Span(NOTHING, "quiet")
        count, least = len(row.peak_memory_bytes), min(row.peak_memory_bytes)
        figure = Figure(most, "B", origin(row), count, "most", least, most, self.source)
        return Span(quantity_text(most, "B"), figure=figure)

    def span(
        self, values: Sequence[float], unit: str, kind: Origin = "measured", *, bare: bool = False
    ) -> Span:
        """The median of values, in the unit of their metric; a dash where there is none."""
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            return Span(NOTHING, "quiet")
        middle = median(finite)
        text = _bare(middle, unit) if bare else quantity_text(middle, unit)
        return Span(
            text,
            figure=Figure(
                middle, unit, kind, len(finite), "median", min(finite), max(finite), self.source
            ),
        )


def _bare(value: float, unit: str) -> str:
    if unit == "s":
        return seconds_text(value)
    return bytes_text(value) if unit == "B" else number(value)


def origin(row: Row) -> Origin:
    """What the numbers of a row are of."""
    if row.is_canary:
        return "canary"
    return "synthetic" if row.is_synthetic else "measured"


def word(text: str, label: str = "") -> Span:
    """A verdict or a mark as a badge."""
    return Span(label or text.replace("_", " "), "word", VERDICT_TONES.get(text, "open"))
