"""The marks of accuracy by speed, and the key that says what they mean."""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.format import bytes_text
from qualification.documents import model
from qualification.documents.plots import names
from qualification.documents.plots.canvas import LEFT, RIGHT, Canvas, Symbol
from qualification.documents.plots.drawing import Style
from qualification.documents.plots.palette import ACCENT, QUIET
from qualification.documents.plots.svg import SIZE

_WORDS: dict[model.Origin, str] = {
    "measured": "measured",
    "canary": "canary",
    "synthetic": "random weights",
    "projected": "projected",
    "predicted": "predicted",
    "published": "published",
    "declared": "declared",
}

_SQUARE = ((-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89))
_DIAMOND = ((-1.25, 0.0), (0.0, -1.25), (1.25, 0.0), (0.0, 1.25))
_TRIANGLE = ((0.0, -1.55), (1.35, 0.78), (-1.35, 0.78))
_CORNERS: dict[model.Origin, tuple[tuple[float, float], ...]] = {
    "synthetic": _DIAMOND,
    "projected": _SQUARE,
    "predicted": _SQUARE,
    "published": _TRIANGLE,
    "declared": _TRIANGLE,
}
"""All of the area of a circle of radius 1, which stands for what was run on real weights."""

_FILLED = Style(fill=ACCENT, opacity=0.3, stroke=ACCENT, width=1.4)
_HOLLOW = Style(stroke=ACCENT, width=1.4)


def mark(canvas: Canvas, x: float, y: float, radius: float, origin: model.Origin) -> None:
    """A filled bubble for what was measured, a hollow one of another shape for all else."""
    if corners := _CORNERS.get(origin):
        canvas.area([(x + radius * a, y + radius * b) for a, b in corners], _HOLLOW)
    else:
        canvas.circle(x, y, radius, _FILLED if origin == "measured" else _HOLLOW)


def draw_key(
    canvas: Canvas, y: float, origins: Sequence[model.Origin], most: float, *, has_roofline: bool
) -> float:
    """What the marks, their size and the lines mean, as far as they are there; the end's y."""

    def roofline(x: float, middle: float) -> None:
        canvas.lines(
            [((x, middle), (x + 14, middle))], Style(stroke=QUIET, width=0.8, dashes=(1.5, 2.0))
        )
        canvas.line((x + 15, middle - 5), (x + 15, middle + 5), QUIET, 1.6)

    def sizes(x: float, middle: float) -> None:
        canvas.circle(x + 7, middle, 7.0, Style(stroke=QUIET))
        canvas.circle(x + 18, middle, 3.5, Style(stroke=QUIET))

    samples: list[tuple[Symbol, float, str]] = []
    for origin in _WORDS:
        if origin in origins:
            samples.append((_sample(canvas, origin), 12.0, _WORDS[origin]))
    if has_roofline:
        samples.append((roofline, 16.0, "its roofline"))
    if most:
        samples.append((sizes, 22.0, f"area: peak memory, up to {bytes_text(most)}"))
    return canvas.key(y, samples)


def _sample(canvas: Canvas, origin: model.Origin) -> Symbol:
    return lambda x, middle: mark(canvas, x + 6, middle, 4.5, origin)


def list_points(canvas: Canvas, y: float, points: Sequence[tuple[str, str]]) -> float:
    """Number, name and figures of each point, one below the other; the end's y."""
    rows = [(y + 11 + 15 * row, name, text) for row, (name, text) in enumerate(points)]
    for number, (baseline, _, _) in enumerate(rows, 1):
        canvas.text(LEFT + 16, baseline, str(number), anchor="right", is_bold=True)
    for baseline, name, text in rows:
        room = RIGHT - LEFT - 22 - names.width_of(text, SIZE) - 8
        canvas.text(LEFT + 22, baseline, names.fitted(name, room, SIZE))
    for baseline, _, text in rows:
        canvas.text(RIGHT, baseline, text, QUIET, "right")
    return y + 15 * len(rows)
