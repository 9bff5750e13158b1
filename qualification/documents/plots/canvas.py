"""A sheet to draw on, in the units of its SVG: 460 wide, as high as it gets, y going down.

It suits a phone, where a unit is three quarters of a pixel, and half a page, where it is one and a
half. Texts of others are cut to the room that they have by whoever draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.drawing import Anchor, Shape, Style, Text, Vertex, draw
from qualification.documents.plots.palette import INK, LINE, QUIET
from qualification.documents.plots.scales import Scale
from qualification.documents.plots.svg import SIZE, compact

WIDTH, LEFT, RIGHT = 460.0, 6.0, 454.0

NAME_SIZE = 12.0

_MOVE, _LINE, _CURVE, _CLOSE = 1, 2, 4, 79
_ROUND = 0.5523
"""How far the handles of a Bézier curve lie that comes next to a quarter of a circle."""

Symbol = Callable[[float, float], None]
"""Draws a sample for a key; x is its left end, y its middle."""


class Canvas:
    """Shapes and texts, from back to front."""

    def __init__(self) -> None:
        self._marks: list[Shape | Text] = []

    def lines(self, lines: Sequence[Sequence[Vertex]], style: Style) -> None:
        """Open lines through points."""
        for line in lines:
            self._add(style, list(line), [_MOVE] + [_LINE] * (len(line) - 1))

    def line(self, start: Vertex, end: Vertex, colour: str, width: float = 1.0) -> None:
        """One straight line."""
        self.lines([(start, end)], Style(stroke=colour, width=width))

    def dashed(self, start: Vertex, end: Vertex, colour: str) -> None:
        """One dashed line."""
        self.lines([(start, end)], Style(stroke=colour, width=1.2, dashes=(4.0, 3.0)))

    def dots(self, centres: Sequence[Vertex], radius: float, colour: str) -> None:
        """Filled circles: lines of no length with round ends, which take the least room."""
        style = Style(stroke=colour, width=2 * radius, is_round=True)
        self.lines([(centre, centre) for centre in centres], style)

    def area(self, corners: Sequence[Vertex], style: Style) -> None:
        """A polygon."""
        codes = [_MOVE] + [_LINE] * (len(corners) - 1) + [_CLOSE]
        self._add(style, [*corners, corners[0]], codes)

    def box(self, x: float, y: float, width: float, height: float, style: Style) -> None:
        """A rectangle with its upper left corner at x, y."""
        self.area([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], style)

    def circle(self, x: float, y: float, radius: float, style: Style) -> None:
        """A circle."""
        r, h = radius, radius * _ROUND
        quarters = ((1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0))
        vertices = [(x + r, y)]
        for ax, ay, bx, by in quarters:
            vertices += [
                (x + r * ax + h * bx, y + r * ay + h * by),
                (x + r * bx + h * ax, y + r * by + h * ay),
                (x + r * bx, y + r * by),
            ]
        self._add(style, [*vertices, vertices[0]], [_MOVE] + [_CURVE] * 12 + [_CLOSE])

    def hatch(self, x: float, y: float, width: float, height: float, style: Style) -> None:
        """Slanting lines within a rectangle."""
        end, slants = x + width, []
        foot = x - height + 4.0
        while foot < end:
            low, high = max(foot, x), min(foot + height, end)
            slants.append(((low, y + height - (low - foot)), (high, y + height - (high - foot))))
            foot += 5.0
        self.lines(slants, style)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        colour: str = INK,
        anchor: Anchor = "left",
        size: float = SIZE,
        **looks: bool,
    ) -> None:
        """A line on the baseline y; ``looks`` are those of :class:`Text`."""
        if text:
            self._marks.append(Text(x, y, text, size, colour, anchor, **looks))

    def key(self, y: float, samples: Sequence[tuple[Symbol, float, str]]) -> float:
        """Samples with their widths and meanings, in as many lines as it takes; the end's y."""
        x, line = LEFT, 15.0
        for symbol, room, meaning in samples:
            needed = room + 5 + names.width_of(meaning, SIZE)
            if x > LEFT and x + needed > RIGHT:
                x, y = LEFT, y + line
            symbol(x, y + 7)
            self.text(x + room + 5, y + 11, meaning, QUIET)
            x += needed + 12
        return y + line if samples else y

    def axis(self, scale: Scale, top: float, bottom: float, title: str) -> float:
        """Grid lines from top to bottom, round values and a title below; the end's y.

        To be drawn first, so that everything else is on top of it.
        """
        ticks = scale.ticks()
        self.lines([((x, top), (x, bottom)) for x, _ in ticks], Style(stroke=LINE))
        free = LEFT
        for x, text in ticks:
            half = names.width_of(text, SIZE) / 2
            middle = min(max(x, LEFT + half), RIGHT - half)
            if middle - half >= free:
                self.text(middle, bottom + 13, text, QUIET, "center")
                free = middle + half + 4
        self.text((scale.start + scale.end) / 2, bottom + 27, title, QUIET, "center")
        return bottom + 33

    def plot(self, title: str, alternative: str, height: float) -> model.Plot:
        """What was drawn, as a plot so high."""
        drawn = draw(WIDTH, height, self._marks)
        texts = {n: mark for n, mark in enumerate(self._marks) if isinstance(mark, Text)}
        return model.Plot(title, alternative, compact(drawn, texts, (WIDTH, height), alternative))

    def _add(self, style: Style, vertices: list[Vertex], codes: list[int]) -> None:
        """Shapes of one style that follow each other are one, if they may hide each other."""
        latest = self._marks[-1] if self._marks else None
        if not isinstance(latest, Shape) or latest.style != style or style.opacity < 1:
            latest = Shape(style)
            self._marks.append(latest)
        latest.vertices += vertices
        latest.codes += codes
