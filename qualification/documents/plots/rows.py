"""What plots of one row for each entry share: a line with name and figure, and stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from qualification.documents.model import Origin
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, NAME_SIZE, RIGHT, Canvas, Symbol
from qualification.documents.plots.drawing import Style
from qualification.documents.plots.palette import INK, LINE, PAPER, PARTS, QUIET
from qualification.documents.plots.scales import Scale, is_positive
from qualification.documents.plots.svg import SIZE

PITCH = 36.0
HEADING = 16.0
"""The height of a row, and of its line with the name."""

BAR = 13.0

OTHER = "other parts"

Parts = tuple[tuple[str, float], ...]

_APART = {
    "system": Style(fill=QUIET),
    "server": Style(fill=LINE, stroke=QUIET, width=0.8),
    "applications": Style(stroke=QUIET, width=0.8),
    "rest": Style(fill=LINE, stroke=QUIET, width=0.8),
}
"""Parts that are no part of a model look the same everywhere."""

_HATCH = Style(stroke=PAPER, width=1.6)

ORIGIN_MARKS: dict[Origin, str] = {"predicted": "≈ ", "projected": "~ "}
"""What stands before a number that was not measured."""


@dataclass(frozen=True)
class Bar:
    """One row: parts from left to right, and its figure as text."""

    name: str
    parts: Parts
    figure: str
    colour: str = INK
    is_hatched: bool = False


def plural(count: int, noun: str = "deployment") -> str:
    """``1 deployment``, ``7 deployments``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def headings(
    canvas: Canvas, rows: Sequence[tuple[str, str, str]], top: float, pitch: float = PITCH
) -> None:
    """A line for each row: name, figure and its colour. The figure takes its room first."""
    rows = [(name, names.clipped(figure), colour) for name, figure, colour in rows]
    for number, (name, figure, _) in enumerate(rows):
        room = RIGHT - LEFT - names.width_of(figure, SIZE) - 12
        line = names.fitted(name, room, NAME_SIZE)
        canvas.text(LEFT, top + number * pitch + 11, line, size=NAME_SIZE, has_halo=True)
    for number, (_, figure, colour) in enumerate(rows):
        canvas.text(RIGHT, top + number * pitch + 11, figure, colour, "right", has_halo=True)


def bar_headings(canvas: Canvas, bars: Sequence[Bar], top: float) -> None:
    """The lines of bars, to be drawn on top of everything that crosses them."""
    headings(canvas, [(bar.name, bar.figure, bar.colour) for bar in bars], top)


def sound(parts: Parts) -> Parts:
    """The parts that have a length."""
    return tuple((name, size) for name, size in parts if is_positive(size))


def total_of(parts: Parts) -> float:
    """Their sum."""
    return sum(size for _, size in parts)


def cut_off(totals: Sequence[float], times: float = 12.0) -> float:
    """Where the axis of bars ends: at the longest, unless it leaves nothing of the others."""
    middle = sorted(totals)[(len(totals) - 1) // 2]
    return min(max(totals), middle * times)


def folded(bars: Sequence[Bar]) -> tuple[list[Bar], dict[str, Style]]:
    """The bars with at most as many kinds of parts as there are colours, and how each looks.

    The smallest kinds become :data:`OTHER`.
    """
    sizes: dict[str, float] = {}
    for bar in bars:
        for name, size in bar.parts:
            sizes[name] = sizes.get(name, 0.0) + size
    coloured = [name for name in sizes if name not in _APART]
    if len(coloured) > len(PARTS):
        largest = sorted(coloured, key=lambda name: -sizes[name])[: len(PARTS) - 1]
        coloured = [name for name in coloured if name in largest] + [OTHER]
    looks = {name: Style(fill=colour) for name, colour in zip(coloured, PARTS, strict=False)}
    looks |= {name: style for name, style in _APART.items() if name in sizes}
    renamed = [
        Bar(
            bar.name,
            tuple((name if name in looks else OTHER, size) for name, size in bar.parts),
            bar.figure,
            bar.colour,
            bar.is_hatched,
        )
        for bar in bars
    ]
    in_order = [name for name in sizes if name in looks] + [OTHER]
    return renamed, {name: looks[name] for name in dict.fromkeys(in_order) if name in looks}


def draw_bars(
    canvas: Canvas, bars: Sequence[Bar], looks: Mapping[str, Style], scale: Scale, top: float
) -> None:
    """The rows from ``top`` on, each :data:`PITCH` high."""
    for name, style in looks.items():
        for number, bar in enumerate(bars):
            y, start = top + number * PITCH + HEADING, 0.0
            for part, size in bar.parts:
                x, width = scale(start), scale(start + size) - scale(start)
                start += size
                if part == name and width >= 0.05:
                    gap = 0.8 if width > 2.4 else 0.0
                    canvas.box(x, y, width - gap, BAR, style)
    for number, bar in enumerate(bars):
        y, end = top + number * PITCH + HEADING, total_of(bar.parts)
        if bar.is_hatched and bar.parts:
            canvas.hatch(scale.start, y, scale(end) - scale.start, BAR, _HATCH)
    for number, bar in enumerate(bars):
        y = top + number * PITCH + HEADING
        if total_of(bar.parts) > scale.high * (1 + 1e-9):  # the bar is cut
            cuts = [((x, y + BAR + 1), (x + 5, y - 1)) for x in (scale.end - 17, scale.end - 11)]
            canvas.lines(cuts, Style(stroke=PAPER, width=2.6))


def key_of(
    canvas: Canvas, y: float, looks: Mapping[str, Style], *, is_hatched: bool, note: str
) -> float:
    """A key of the parts, and of the hatching if there is any; the end's y."""

    def sample(style: Style, x: float, middle: float) -> None:
        canvas.box(x, middle - 5, 10, 10, style)

    def hatched(x: float, middle: float) -> None:
        canvas.box(x, middle - 5, 16, 10, Style(fill=QUIET))
        canvas.hatch(x, middle - 5, 16, 10, _HATCH)

    samples: list[tuple[Symbol, float, str]] = [
        (
            partial(sample, style),
            10.0,
            names.clipped(name, 28),
        )
        for name, style in looks.items()
    ]
    if is_hatched:
        samples.append((hatched, 16.0, note))
    return canvas.key(y, samples)
