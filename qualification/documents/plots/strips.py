"""Every run of every deployment: how far the values of a metric lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from qualification.core.format import NOTHING, quantity_text
from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, RIGHT, Canvas
from qualification.documents.plots.drawing import Style
from qualification.documents.plots.palette import ACCENT, INK, QUIET
from qualification.documents.plots.rows import HEADING, headings, plural
from qualification.documents.plots.scales import Scale, axis_unit, is_number, is_positive, scale_of
from qualification.judging.stats.estimators import median

_PITCH, _STRIP = 42.0, 20.0

_MOST_DOTS = 1200
"""In one plot; of longer series every second, third … run is drawn, which is said."""

_ALIKE = 2.0
"""Medians that differ by more stand on an axis of their own each: the distance from them."""

_BAND = Style(fill=ACCENT, opacity=0.2)


@dataclass(frozen=True)
class StripEntry:
    """The values of one deployment in the order of its runs, and an interval of their centre."""

    name: str
    values: tuple[float, ...]
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Strip:
    """What is drawn of an entry, in the unit of the axis."""

    runs: tuple[float, ...]
    middle: float
    interval: tuple[float, float] | None


def run_strips(entries: Sequence[StripEntry], label: str, unit: str) -> model.Plot | None:
    """A strip for each entry, the first run at its top; ``label`` and ``unit`` are the metric's.

    Where the medians differ by more than a factor of two, values are drawn as distances from
    their own median, so that their scatter can be seen. None where no entry has a value.
    """
    series = [tuple(value for value in entry.values if is_number(value)) for entry in entries]
    medians = [median(values) for values in series if values]
    if not medians:
        return None
    label = names.clipped(label)
    size, unit_name = axis_unit(max(abs(value) for values in series for value in values), unit)
    is_relative = is_positive(min(medians)) and max(medians) > _ALIKE * min(medians)
    axis = "% from its own median" if is_relative else unit_name
    unit_size = 0.0 if is_relative else size
    strips = [_strip(e, runs, unit_size) for e, runs in zip(entries, series, strict=True)]
    step = -(-sum(map(len, series)) // _MOST_DOTS)
    canvas = Canvas()
    top = 12 + _key(canvas, has_band=any(strip and strip.interval for strip in strips))
    bottom = top + _PITCH * len(entries)
    scale = _scale([strip for strip in strips if strip])
    end = canvas.axis(scale, top, bottom, f"{label}, {axis}".removesuffix(", "))
    _draw(canvas, strips, scale, top, step)
    figures = [quantity_text(median(v), unit) if v else NOTHING for v in series]
    colours = [INK if values else QUIET for values in series]
    named = [entry.name for entry in entries]
    headings(canvas, list(zip(named, figures, colours, strict=True)), top, _PITCH)
    title = f"{label[:1].upper()}{label[1:]}, run by run"
    return canvas.plot(title, _in_words(named, series, label, unit, step), end)


def _strip(entry: StripEntry, values: tuple[float, ...], size: float) -> Strip | None:
    """In units of ``size``; 0 for per cent from the median."""
    if not values:
        return None
    middle = median(values)

    def convert(value: float) -> float:
        return value / size if size else 100 * (value / middle - 1)

    interval = None
    if is_number(entry.lower) and is_number(entry.upper) and entry.lower <= entry.upper:
        interval = convert(entry.lower), convert(entry.upper)
    return Strip(tuple(convert(value) for value in values), convert(middle), interval)


def _scale(strips: Sequence[Strip]) -> Scale:
    """Over all runs, and over the intervals that leave something of the runs."""
    runs = [run for strip in strips for run in strip.runs]
    low, high = min(runs), max(runs)
    reach = 2 * (high - low) or abs(high) or 1.0
    bounds = [bound for strip in strips for bound in strip.interval or ()]
    near = [bound for bound in bounds if low - reach <= bound <= high + reach]
    return scale_of([*runs, *near], LEFT + 6, RIGHT - 6)


def _draw(
    canvas: Canvas, strips: Sequence[Strip | None], scale: Scale, top: float, step: int
) -> None:
    rows = [(top + n * _PITCH + HEADING, strip) for n, strip in enumerate(strips) if strip]
    for y, strip in rows:
        if strip.interval:
            low, high = (scale(bound) for bound in strip.interval)
            canvas.box(low, y, max(high - low, 1.0), _STRIP, _BAND)
    for y, strip in rows:
        x = scale(strip.middle)
        canvas.line((x, y - 1), (x, y + _STRIP + 1), INK, 1.6)
    for y, strip in rows:
        runs = strip.runs[::step]
        drop = (_STRIP - 5) / max(len(runs) - 1, 1)
        start = y + 2.5 if len(runs) > 1 else y + _STRIP / 2
        centres = [(scale(value), start + run * drop) for run, value in enumerate(runs)]
        canvas.dots(centres, 2.1, ACCENT)


def _key(canvas: Canvas, *, has_band: bool) -> float:
    def dots(x: float, y: float) -> None:
        canvas.dots([(x + 3, y - 3), (x + 7, y + 3)], 2.1, ACCENT)

    def middle(x: float, y: float) -> None:
        canvas.line((x + 2, y - 6), (x + 2, y + 6), INK, 1.6)

    def band(x: float, y: float) -> None:
        canvas.box(x, y - 5, 16, 10, _BAND)

    samples = [(dots, 10.0, "a run, the first at the top"), (middle, 4.0, "median")]
    return canvas.key(4.0, [*samples, (band, 16.0, "interval")] if has_band else samples)


def _in_words(
    named: Sequence[str],
    series: Sequence[Sequence[float]],
    label: str,
    unit: str,
    step: int,
) -> str:
    medians = {number: median(values) for number, values in enumerate(series) if values}
    low, high = min(medians, key=lambda n: medians[n]), max(medians, key=lambda n: medians[n])
    text = partial(quantity_text, unit=unit)
    words = f"The {label} of {plural(len(medians))}, every run: "
    if low == high:
        words += f"the median of {names.clipped(named[low])} is {text(medians[low])}."
    else:
        words += f"medians from {text(medians[low])} ({names.clipped(named[low])}) to"
        words += f" {text(medians[high])} ({names.clipped(named[high])})."
    return words if step == 1 else f"{words} Of every {step} runs one is drawn."
