"""Shapes and texts become SVG, by matplotlib: the only module that draws with it.

It sees no text of others: each text is drawn as a number, which ``svg.py`` replaces.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from qualification.documents.plots.matplotlib_import import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.artist import Artist

Anchor = Literal["left", "center", "right"]
Vertex = tuple[float, float]

_POINTS = 72
"""Per inch, so that a unit of the drawing is a unit of the SVG."""


@dataclass(frozen=True)
class Style:
    """How a shape looks; '' is no fill, or no stroke. The opacity is that of the fill."""

    fill: str = ""
    stroke: str = ""
    width: float = 1.0
    dashes: tuple[float, ...] = ()
    opacity: float = 1.0
    is_round: bool = False


@dataclass
class Shape:
    """Lines or areas of one style; ``codes`` are those of ``matplotlib.path.Path``."""

    style: Style
    vertices: list[Vertex] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Text:
    """A line of text; ``y`` is its baseline. ``has_halo``: it can be read on top of lines."""

    x: float
    y: float
    text: str
    size: float
    colour: str
    anchor: Anchor = "left"
    is_bold: bool = False
    has_halo: bool = False


def draw(width: float, height: float, marks: Sequence[Shape | Text]) -> str:
    """The SVG of marks, from back to front; y goes down. Text ``n`` of them reads ``tn``."""
    import_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.transforms import Affine2D

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
        matplotlib.rcParams["svg.hashsalt"] = "qualification"  # the same input, the same bytes
        matplotlib.rcParams["path.simplify"] = False  # it would drop the dots
        figure = Figure((width / _POINTS, height / _POINTS), dpi=_POINTS, frameon=False)
        downwards = Affine2D.from_values(1, 0, 0, -1, 0, height)
        for number, mark in enumerate(marks):
            artist = _patch(mark) if isinstance(mark, Shape) else _label(mark, number)
            artist.set(zorder=number, transform=downwards)
            figure.add_artist(artist)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue().decode("utf-8")


def _patch(shape: Shape) -> Artist:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    style = shape.style
    return PathPatch(
        Path(shape.vertices, shape.codes),
        facecolor=(style.fill, style.opacity) if style.fill else "none",
        edgecolor=style.stroke or "none",
        linewidth=style.width,
        linestyle=(0, style.dashes) if style.dashes else "solid",
        capstyle="round" if style.is_round else "butt",
    )


def _label(text: Text, number: int) -> Artist:
    from matplotlib.text import Text as Label

    return Label(text.x, text.y, f"t{number}", color=text.colour, ha=text.anchor, va="baseline")
