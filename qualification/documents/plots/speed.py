"""Accuracy against decoding speed: which deployment to choose, at one look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.format import bytes_text, percent_text, rate_text
from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, RIGHT, Canvas
from qualification.documents.plots.drawing import Style
from qualification.documents.plots.palette import ACCENT, BAD, LINE, OPEN, QUIET
from qualification.documents.plots.placement import Box, Spot, place
from qualification.documents.plots.rows import ORIGIN_MARKS, plural
from qualification.documents.plots.scales import Scale, is_positive, scale_of
from qualification.documents.plots.speed_key import draw_key, list_points, mark
from qualification.documents.plots.svg import SIZE

TITLE = "Accuracy by decoding speed"

_FRAME = Box(LEFT + 34, 34.0, RIGHT, 254.0)
_PAD, _LARGEST, _DOT = 16.0, 14.0, 3.5
"""Room within the frame, the largest radius, and the radius where no memory is known."""

_MOST_NAMES = 8
_NAME_COLUMNS = 26


@dataclass(frozen=True)
class SpeedPoint:
    """One deployment: tokens per second, accuracy and its interval as shares, bytes."""

    name: str
    decode_tps: float | None
    accuracy: float | None
    lower: float | None = None
    upper: float | None = None
    peak_bytes: float | None = None
    roofline_tps: float | None = None
    origin: model.Origin = "measured"


def accuracy_by_speed(
    points: Sequence[SpeedPoint], floor_tps: float | None = None
) -> model.Plot | None:
    """A bubble for each point that has a speed and an accuracy; None where none has.

    Bubbles are as large as the peak memory. Up to eight have their names beside them if there is
    room; else they have numbers, with a key below.
    """
    drawn = [point for point in points if _is_drawn(point)]
    if not drawn:
        return None
    floor = floor_tps if is_positive(floor_tps) else None
    speeds = [_tps(point) for point in drawn]
    rooflines = [p.roofline_tps for p in drawn if is_positive(p.roofline_tps)]
    extra = [floor] if floor is not None else []
    x = scale_of([*speeds, *rooflines, *extra], _FRAME.x_min + _PAD, _FRAME.x_max - _PAD)
    y = _percent_scale(drawn)
    most = max((p.peak_bytes for p in drawn if is_positive(p.peak_bytes)), default=0.0)
    spots = [_spot(point, x, y, most) for point in drawn]
    canvas = Canvas()
    end = _axes(canvas, x, y)
    if floor is not None:
        _draw_floor(canvas, x(floor), f"floor {rate_text(floor)}")
    bounds = _draw_rooflines(canvas, drawn, spots, x)
    _draw_intervals(canvas, spots)
    for point, spot in sorted(zip(drawn, spots, strict=True), key=lambda pair: -pair[1].radius):
        mark(canvas, spot.x, spot.y, spot.radius, point.origin)
    has_numbers = _label(canvas, [point.name for point in drawn], spots, bounds)
    end = draw_key(canvas, end + 4, [p.origin for p in drawn], most, has_roofline=bool(rooflines))
    if has_numbers:
        end = list_points(canvas, end + 4, [(p.name, _figures(p)) for p in drawn])
    return canvas.plot(TITLE, _in_words(drawn, len(points)), end + 4)


def _is_drawn(point: SpeedPoint) -> bool:
    has_accuracy = point.accuracy is not None and 0 <= point.accuracy <= 1
    return has_accuracy and is_positive(point.decode_tps)


def _tps(point: SpeedPoint) -> float:
    return point.decode_tps or 0.0


def _interval(point: SpeedPoint) -> tuple[float, float] | None:
    """In per cent, if there is a sound one."""
    if point.lower is None or point.upper is None or not 0 <= point.lower <= point.upper <= 1:
        return None
    return 100 * point.lower, 100 * point.upper


def _percent_scale(points: Sequence[SpeedPoint]) -> Scale:
    """Whole tens around everything, twenty per cent at least."""
    values = [100 * (point.accuracy or 0.0) for point in points]
    values += [bound for point in points for bound in _interval(point) or ()]
    low, high = math.floor(min(values) / 10) * 10, math.ceil(max(values) / 10) * 10
    low, high = min(low, 80), max(high, low + 20, 20)
    return Scale(low, min(high, 100), _FRAME.y_max - _PAD, _FRAME.y_min + _PAD)


def _radius(size: float | None, most: float) -> float:
    """The area is in proportion to the size."""
    return max(_LARGEST * math.sqrt(size / most), 2.0) if is_positive(size) and most else _DOT


def _spot(point: SpeedPoint, x: Scale, y: Scale, most: float) -> Spot:
    across, down = x(_tps(point)), y(100 * (point.accuracy or 0.0))
    low, high = _interval(point) or (None, None)
    return Spot(
        across,
        down,
        _radius(point.peak_bytes, most),
        down if high is None else y(high),
        down if low is None else y(low),
    )


def _axes(canvas: Canvas, x: Scale, y: Scale) -> float:
    levels = y.ticks()
    canvas.lines(
        [((_FRAME.x_min, level), (_FRAME.x_max, level)) for level, _ in levels], Style(stroke=LINE)
    )
    end = canvas.axis(x, _FRAME.y_min, _FRAME.y_max, "decoding speed, tok/s")
    for level, text in levels:
        canvas.text(_FRAME.x_min - 5, level + 4, text, QUIET, "right")
    canvas.text(LEFT, 12, "% correct", QUIET)
    return end


def _draw_floor(canvas: Canvas, x: float, text: str) -> None:
    canvas.dashed((x, _FRAME.y_min - 6), (x, _FRAME.y_max), OPEN)
    half = names.width_of(text, SIZE) / 2
    canvas.text(min(max(x, LEFT + half), RIGHT - half), _FRAME.y_min - 9, text, OPEN, "center")


def _draw_rooflines(
    canvas: Canvas, points: Sequence[SpeedPoint], spots: Sequence[Spot], x: Scale
) -> list[Box]:
    """A tick for each, at the end of a thin line; the boxes of the lines.

    Red where the speed is over its own bound, which cannot be.
    """
    bounds = [
        (spot, x(point.roofline_tps), BAD if point.roofline_tps < _tps(point) else QUIET)
        for point, spot in zip(points, spots, strict=True)
        if is_positive(point.roofline_tps)
    ]
    for spot, end, colour in bounds:
        canvas.lines(
            [((spot.x, spot.y), (end, spot.y))],
            Style(stroke=colour, width=0.8, dashes=(1.5, 2.0)),
        )
    for spot, end, colour in bounds:
        canvas.line((end, spot.y - 5), (end, spot.y + 5), colour, 1.6)
    return [
        Box(min(spot.x, end) - 1, spot.y - 1, max(spot.x, end) + 1, spot.y + 1)
        for spot, end, _ in bounds
    ]


def _draw_intervals(canvas: Canvas, spots: Sequence[Spot]) -> None:
    bars: list[tuple[tuple[float, float], ...]] = []
    for spot in spots:
        if spot.top < spot.bottom:
            bars.append(((spot.x, spot.top), (spot.x, spot.bottom)))
            bars += [((spot.x - 3, y), (spot.x + 3, y)) for y in (spot.top, spot.bottom)]
    canvas.lines(bars, Style(stroke=ACCENT, width=1.2))


def _label(
    canvas: Canvas, named: Sequence[str], spots: Sequence[Spot], lines: Sequence[Box]
) -> bool:
    """Names beside the points, or numbers if names would hide something; whether numbers."""
    texts = [names.clipped(name, _NAME_COLUMNS) for name in named]
    hidden = 0.0
    boxes: list[Box] = []
    if len(texts) <= _MOST_NAMES:
        boxes, hidden = place(spots, [_size(text) for text in texts], lines, _FRAME)
    has_numbers = hidden > 0 or not boxes
    if has_numbers:
        texts = [str(number) for number in range(1, len(texts) + 1)]
        boxes, _ = place(spots, [_size(text) for text in texts], lines, _FRAME)
    for text, box in zip(texts, boxes, strict=True):
        middle = (box.x_min + box.x_max) / 2
        canvas.text(middle, box.y_max - 2.5, text, anchor="center", has_halo=True)
    return has_numbers


def _size(text: str) -> tuple[float, float]:
    return names.width_of(text, SIZE) + 2, SIZE + 1


def _figures(point: SpeedPoint) -> str:
    before = ORIGIN_MARKS.get(point.origin, "")
    words = [f"{before}{percent_text(point.accuracy, digits=0)}", rate_text(point.decode_tps)]
    return " · ".join([*words, bytes_text(point.peak_bytes)])


def _in_words(points: Sequence[SpeedPoint], count: int) -> str:
    best = max(points, key=lambda p: (p.accuracy or 0.0, _tps(p)))
    fastest = max(points, key=lambda p: (_tps(p), p.accuracy or 0.0))
    words = f"Accuracy and decoding speed of {plural(len(points))}. The most accurate is "
    words += f"{names.clipped(best.name)}: {percent_text(best.accuracy, digits=0)} at"
    words += f" {rate_text(best.decode_tps)}"
    if fastest is best:
        words += ", which is the fastest too."
    else:
        words += f"; the fastest is {names.clipped(fastest.name)}: {rate_text(fastest.decode_tps)}"
        words += f" at {percent_text(fastest.accuracy, digits=0)}."
    if missing := count - len(points):
        words += f" {plural(missing)} without a speed or an accuracy cannot be drawn."
    return words
