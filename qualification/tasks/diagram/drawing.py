"""A drawn enterprise-architecture picture, what is written in it, and names that are not.

It stands for the consulting diagram of the seeds (``vision_test.png``, 1355 x 710 pixels), which is
not ours to ship: the same size, the components that they name, a hub in the centre. The other
names are made up. Nothing random is in it, and the typeface (Aileron Regular) comes with Pillow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

SIZE = (1355, 710)
"""Width and height in pixels."""

TITLE = "Enterprise Reference Architecture"
HUB = "Digital Hub"
EXPERIENCES = ("Digital Experiences", "Customer Portal", "Mobile Channel", "Partner Exchange")
CAPABILITIES = (
    "Business Capability Architecture",
    "Strategic Planning", "Market Development",
    "Product Design", "Supply Chain",
    "Customer Service", "Corporate Support",
)  # fmt: skip
AREAS = "Operational Areas"
SOLUTIONS = (
    "Composite Solutions",
    "Demand Forecasting", "Contract Management",
    "Field Scheduling", "Customer Insight",
)  # fmt: skip
SYSTEMS = ("Functional Systems", "Finance Ledger", "Inventory Control", "Document Archive")
FOUNDATION = "Cloud Infrastructure"

COMPONENTS: tuple[str, ...] = (
    TITLE, HUB, *EXPERIENCES, CAPABILITIES[0], AREAS, *CAPABILITIES[1:], *SOLUTIONS, *SYSTEMS,
    FOUNDATION,
)  # fmt: skip
"""Everything that is written in the picture, which is the ground truth."""

DECOYS: tuple[str, ...] = (
    "API Gateway", "Blockchain Network", "Business Process Architecture", "Composite Applications",
    "Content Management", "Corporate Strategy", "Customer Relationship Management", "Data Lake",
    "Data Warehouse", "Digital Core", "Digital Twin", "Digital Workplace", "Disaster Recovery",
    "Enterprise Resource Planning", "Enterprise Service Bus", "Functional Modules",
    "Identity Provider", "Innovation Lab", "Machine Learning Platform", "Master Data Management",
    "Message Broker", "Payment Gateway", "Service Mesh", "Technology Reference Model",
)  # fmt: skip
"""The closed list of names that such pictures often have and this one has not."""

PROMPT = "Please analyze this Enterprise Architecture diagram and explain what you see."
"""The seeds' own request."""

REQUEST = f"{PROMPT} Name every component that is written in it, once."
"""What a model is asked, so that a name that it leaves out is one that it did not see."""

_FINE = 3  # drawn at three times the size, then averaged, for smooth edges

_PAPER, _INK, _WHITE, _LINE = "#f6f8fb", "#17243d", "#ffffff", "#8796ad"
_NAVY, _BLUE, _TEAL, _VIOLET, _GREEN, _SLATE = (
    "#14213d", "#1f5fa8", "#0e7c86", "#6a4c93", "#2f7d4f", "#4a5a72"
)  # fmt: skip
_TINTS = {_BLUE: "#e3eefb", _TEAL: "#dff1f2", _VIOLET: "#eee8f6", _GREEN: "#e4f3ea"}

_Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Label:
    """One text of the picture: ``lines`` under each other around the middle of ``box``.

    The box is left, top, right, bottom in pixels; the text stays inside of it.
    """

    lines: tuple[str, ...]
    box: _Box
    height: int
    colour: str = _INK


@dataclass(frozen=True)
class _Shape:
    box: _Box
    fill: str
    outline: str = ""
    radius: int = 6


def labels() -> tuple[Label, ...]:
    """Every text of the picture with the box that it keeps to; each component once."""
    return _layout()[1]


def draw() -> Image.Image:
    """The picture as RGB; the same pixels at each call."""
    from PIL import Image, ImageDraw

    width, height = SIZE
    picture = Image.new("RGB", (width * _FINE, height * _FINE), _PAPER)
    pen = ImageDraw.Draw(picture)
    shapes, texts = _layout()
    for shape in shapes:
        pen.rounded_rectangle(
            _fine(shape.box),
            shape.radius * _FINE,
            fill=shape.fill,
            outline=shape.outline or None,
            width=2 * _FINE if shape.outline else 0,
        )
    _draw_hub(pen)
    for label in texts:
        _write(pen, label)
    return picture.reduce(_FINE)


def _layout() -> tuple[tuple[_Shape, ...], tuple[Label, ...]]:
    """Boxes from the back to the front, and the texts over them."""
    shapes = [_Shape((0, 0, SIZE[0], 58), _NAVY, radius=0), _Shape((0, 58, 1355, 63), _TEAL, "", 0)]
    texts = [Label((TITLE,), (24, 8, 480, 52), 30, _WHITE)]
    for names, box, colour in (
        (EXPERIENCES, (24, 80, 1331, 166), _BLUE),
        (SYSTEMS, (24, 558, 1331, 644), _GREEN),
    ):
        _layer(shapes, texts, names, box, colour)
    _panel(shapes, texts, CAPABILITIES, (24, 192, 478, 532), _VIOLET, AREAS)
    _panel(shapes, texts, SOLUTIONS, (877, 192, 1331, 532), _TEAL)
    shapes.append(_Shape((24, 660, 1331, 694), _SLATE))
    texts.append(Label((FOUNDATION,), (24, 660, 1331, 694), 18, _WHITE))
    texts.append(Label(tuple(HUB.split()), (592, 306, 763, 418), 38, _WHITE))
    return tuple(shapes), tuple(texts)


def _layer(
    shapes: list[_Shape], texts: list[Label], names: Sequence[str], box: _Box, colour: str
) -> None:
    """A band across the picture: its name at the left, its parts beside each other."""
    left, top, right, bottom = box
    head = (left, top, left + 190, bottom)
    shapes += [_Shape(box, _TINTS[colour], colour), _Shape(head, colour)]
    texts.append(Label(tuple(names[0].split()), head, 20, _WHITE))
    _cells(shapes, texts, names[1:], (head[2], top, right, bottom), len(names) - 1, colour)


def _panel(
    shapes: list[_Shape],
    texts: list[Label],
    names: Sequence[str],
    box: _Box,
    colour: str,
    caption: str = "",
) -> None:
    """A block: its name on top, then a caption, then its parts in two columns."""
    left, top, right, bottom = box
    head = (left, top, right, top + 42)
    shapes += [_Shape(box, _TINTS[colour], colour), _Shape(head, colour)]
    texts.append(Label((names[0],), head, 22, _WHITE))
    below = head[3]
    if caption:
        below += 32
        texts.append(Label((caption,), (left, head[3] + 6, right, below + 4), 17, colour))
    _cells(shapes, texts, names[1:], (left, below, right, bottom), 2, colour)


def _cells(
    shapes: list[_Shape],
    texts: list[Label],
    names: Sequence[str],
    box: _Box,
    columns: int,
    colour: str,
) -> None:
    """White boxes in a grid, row by row; in high ones a name has a line for each word."""
    gap = 16
    left, top, right, bottom = box
    rows = -(-len(names) // columns)
    width = (right - left - gap * (columns + 1)) // columns
    height = (bottom - top - gap * (rows + 1)) // rows
    for number, name in enumerate(names):
        x = left + gap + (number % columns) * (width + gap)
        y = top + gap + (number // columns) * (height + gap)
        cell = (x, y, x + width, y + height)
        shapes.append(_Shape(cell, _WHITE, colour))
        texts.append(Label(tuple(name.split()) if height > 80 else (name,), cell, 19))


def _draw_hub(pen: ImageDraw.ImageDraw) -> None:
    """Rings around the centre, and an arrow both ways to each of the four blocks."""
    x, y = 677, 362
    for ends in (
        ((x, 168), (x, y - 126)), ((x, y + 126), (x, 556)),
        ((480, y), (x - 126, y)), ((x + 126, y), (875, y)),
    ):  # fmt: skip
        _arrow(pen, *ends)
    for radius, fill, outline in (
        (124, "#d3e9ec", _TEAL), (106, _WHITE, _TEAL), (92, _TEAL, _NAVY)
    ):  # fmt: skip
        pen.ellipse(
            _fine((x - radius, y - radius, x + radius, y + radius)),
            fill=fill,
            outline=outline,
            width=2 * _FINE,
        )
    for dx, dy in ((81, 81), (-81, 81), (81, -81), (-81, -81)):
        pen.ellipse(_fine((x + dx - 9, y + dy - 9, x + dx + 9, y + dy + 9)), fill=_NAVY)


def _arrow(pen: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Upright or level, with a head at both ends, which are its tips."""
    (x0, y0), (x1, y1) = start, end
    upright = x0 == x1
    along = 12
    shaft = (x0, y0 + along, x1, y1 - along) if upright else (x0 + along, y0, x1 - along, y1)
    pen.line(_fine(shaft), fill=_INK, width=5 * _FINE)
    for tip, way in ((start, 1), (end, -1)):
        x, y = tip
        step = along * way
        head = (
            (x, y, x - 9, y + step, x + 9, y + step)
            if upright
            else (x, y, x + step, y - 9, x + step, y + 9)
        )
        pen.polygon([value * _FINE for value in head], fill=_INK)


def _write(pen: ImageDraw.ImageDraw, label: Label) -> None:
    left, top, right, bottom = label.box
    font = _font(label.height)
    step = label.height * 5 // 4
    first = (top + bottom) / 2 - step * (len(label.lines) - 1) / 2
    for number, line in enumerate(label.lines):
        place = ((left + right) / 2 * _FINE, (first + number * step) * _FINE)
        pen.text(place, line, fill=label.colour, font=font, anchor="mm", stroke_width=_bold(label))


def _bold(label: Label) -> int:
    """Headings are white and a little heavier."""
    return 1 if label.colour == _WHITE else 0


def _font(height: int) -> ImageFont.FreeTypeFont:
    """Aileron at a height in pixels of the finished picture."""
    from PIL import ImageFont

    font = ImageFont.load_default(height * _FINE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _fine(box: _Box) -> _Box:
    left, top, right, bottom = (value * _FINE for value in box)
    return left, top, right, bottom
