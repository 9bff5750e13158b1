"""The candidate against the baseline: a factor with its interval for each metric of a gate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.format import NOTHING, ratio_text
from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, RIGHT, Canvas
from qualification.documents.plots.drawing import Style
from qualification.documents.plots.palette import BAD, GOOD, OPEN, PAPER, QUIET
from qualification.documents.plots.rows import HEADING, PITCH, headings, plural
from qualification.documents.plots.scales import Scale, is_positive

TITLE = "Candidate against baseline"

Verdict = Literal["pass", "regressed", "inconclusive", "unfit"]

_COLOURS: dict[Verdict, str] = {"pass": GOOD, "regressed": BAD}
_ZONE = Style(fill=QUIET, opacity=0.22)
_BEYOND = Style(fill=BAD, opacity=0.13)

_NONSENSE = 1e6
_NARROWEST, _WIDEST = 1.02, 10.0
"""How far the axis goes at least and at most, as a factor."""


@dataclass(frozen=True)
class IntervalEntry:
    """A factor over 1 is worse. A bound may be open: 0 below, infinite above.

    ``noticeable`` and ``margin`` are this metric's own limits, if they are not the plot's.
    """

    name: str
    ratio: float | None
    lower: float
    upper: float
    verdict: Verdict
    noticeable: float | None = None
    margin: float | None = None


def interval_plot(
    entries: Sequence[IntervalEntry], noticeable: float, margin: float
) -> model.Plot | None:
    """A row for each entry, with the indifference zone in grey and what is too much in red.

    ``noticeable`` (δ₀) and ``margin`` (m) are shares. None for no entry.
    """
    if not entries:
        return None
    limits = [
        (
            noticeable if entry.noticeable is None else entry.noticeable,
            margin if entry.margin is None else entry.margin,
        )
        for entry in entries
    ]
    scale = _scale(entries, [largest for _, largest in limits])
    canvas = Canvas()
    top = 18 + _key(canvas)
    bottom = top + PITCH * len(entries)
    end = canvas.axis(scale, top, bottom, "candidate ÷ baseline, over 1 is worse")
    band = PITCH - HEADING
    for number, (small, _) in enumerate(limits):
        low, high = scale(1 / (1 + small)), scale(1 + small)
        canvas.box(low, top + number * PITCH + HEADING - 2, high - low, band, _ZONE)
    for number, (_, large) in enumerate(limits):
        start = scale(1 + large)
        canvas.box(start, top + number * PITCH + HEADING - 2, scale.end - start, band, _BEYOND)
    canvas.line((scale(1), top - 3), (scale(1), bottom), QUIET, 1.2)
    canvas.text(scale(1) - 8, top - 6, "← better", QUIET, "right")
    canvas.text(scale(1) + 8, top - 6, "worse →", QUIET)
    rows = [
        (e.name, f"{_factor(e.ratio)} {e.verdict}", _COLOURS.get(e.verdict, OPEN)) for e in entries
    ]
    headings(canvas, rows, top)
    for number, entry in enumerate(entries):
        _draw(canvas, entry, scale, top + number * PITCH + HEADING + PITCH / 4 - 1)
    return canvas.plot(TITLE, _in_words(entries, margin), end)


def _scale(entries: Sequence[IntervalEntry], margins: Sequence[float]) -> Scale:
    """With 1 in the middle: twice the margins, and more for intervals that reach further."""
    reach = max(_NARROWEST, *(1 + 2 * margin for margin in margins))
    most = 1 + 6 * max(margins)
    for entry in entries:
        for factor in (entry.ratio, entry.lower, entry.upper):
            if is_positive(factor):
                reach = max(reach, min(max(factor, 1 / factor) * 1.02, most))
    reach = min(reach, _WIDEST)
    return Scale(1 / reach, reach, LEFT + 4, RIGHT - 4, is_log=True)


def _draw(canvas: Canvas, entry: IntervalEntry, scale: Scale, y: float) -> None:
    colour = _COLOURS.get(entry.verdict, OPEN)
    if not is_positive(entry.ratio):
        canvas.text(scale(1), y + 4, NOTHING, QUIET, "center")
        return
    low = scale(entry.lower) if is_positive(entry.lower) else scale.start
    high = scale(entry.upper) if is_positive(entry.upper) else scale.end
    canvas.lines([((low, y), (high, y))], Style(stroke=colour, width=2.4))
    ends = ((low, -5.0, not entry.lower >= scale.low), (high, 5.0, not entry.upper <= scale.high))
    for x, tip, is_open in ends:
        if is_open:
            canvas.area([(x - tip, y - 4), (x, y), (x - tip, y + 4)], Style(fill=colour))
        else:
            canvas.line((x, y - 4), (x, y + 4), colour, 1.6)
    if scale.low <= entry.ratio <= scale.high:
        _symbol(canvas, scale(entry.ratio), y, entry.verdict)
    else:
        x, tip = (scale.end, 9.0) if entry.ratio > 1 else (scale.start, -9.0)
        canvas.area([(x - tip, y - 6), (x, y), (x - tip, y + 6)], Style(fill=colour))


def _factor(value: float | None) -> str:
    """A bound of 0 is open; what is no factor, or of no sense, is a dash."""
    is_shown = value is not None and (0 <= value < _NONSENSE or value == math.inf)
    return ratio_text(value) if is_shown else NOTHING


def _symbol(canvas: Canvas, x: float, y: float, verdict: Verdict) -> None:
    """The verdict is seen without colours too."""
    if verdict == "regressed":
        corners = [(x - 6, y), (x, y - 6), (x + 6, y), (x, y + 6)]
        canvas.area(corners, Style(fill=BAD))
    elif verdict == "pass":
        canvas.dots([(x, y)], 4.5, GOOD)
    else:
        canvas.circle(x, y, 4.2, Style(fill=PAPER, stroke=OPEN, width=1.8))


def _key(canvas: Canvas) -> float:
    def zone(x: float, y: float) -> None:
        canvas.box(x, y - 5, 16, 10, _ZONE)

    def beyond(x: float, y: float) -> None:
        canvas.box(x, y - 5, 16, 10, _BEYOND)

    return canvas.key(4.0, [(zone, 16.0, "counts as none"), (beyond, 16.0, "over the margin")])


def _in_words(entries: Sequence[IntervalEntry], margin: float) -> str:
    counts = Counter(entry.verdict for entry in entries)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    words = f"The candidate against the baseline in {plural(len(entries), 'comparison')}: "
    words += f"{verdicts}."
    measured = [entry for entry in entries if is_positive(entry.ratio)]
    if measured:
        worst = max(measured, key=lambda entry: entry.ratio or 0.0)
        low, high = _factor(worst.lower), _factor(worst.upper)
        words += f" The worst is {names.clipped(worst.name)} with a factor of"
        words += f" {_factor(worst.ratio)} ({low} to {high}); the margin is"
        words += f" {ratio_text(1 + (margin if worst.margin is None else worst.margin))}."
    return words
