"""A drawn diagram of an enterprise architecture, its labels, and names that it does not contain.

It replaces a published consulting diagram (``vision_test.png``, 1355 x 710 pixels, see
docs/published-documents.md, "Practices that are measured"), which we may not ship. Size, hub and
the components named in those documents are the same; the other names are made up. The drawing is
deterministic, and its typeface (Aileron Regular) comes with Pillow.
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
    "Strategic Planning",
    "Market Development",
    "Product Design",
    "Supply Chain",
    "Customer Service",
    "Corporate Support",
)
AREAS = "Operational Areas"
SOLUTIONS = (
    "Composite Solutions",
    "Demand Forecasting",
    "Contract Management",
    "Field Scheduling",
    "Customer Insight",
)
SYSTEMS = ("Functional Systems", "Finance Ledger", "Inventory Control", "Document Archive")
FOUNDATION = "Cloud Infrastructure"

COMPONENTS: tuple[str, ...] = (
    TITLE,
    HUB,
    *EXPERIENCES,
    CAPABILITIES[0],
    AREAS,
    *CAPABILITIES[1:],
    *SOLUTIONS,
    *SYSTEMS,
    FOUNDATION,
)
"""All labels of the image: the ground truth."""

DECOYS: tuple[str, ...] = (
    "API Gateway",
    "Blockchain Network",
    "Business Process Architecture",
    "Composite Applications",
    "Content Management",
    "Corporate Strategy",
    "Customer Relationship Management",
    "Data Lake",
    "Data Warehouse",
    "Digital Core",
    "Digital Twin",
    "Digital Workplace",
    "Disaster Recovery",
    "Enterprise Resource Planning",
    "Enterprise Service Bus",
    "Functional Modules",
    "Identity Provider",
    "Innovation Lab",
    "Machine Learning Platform",
    "Master Data Management",
    "Message Broker",
    "Payment Gateway",
    "Service Mesh",
    "Technology Reference Model",
)
"""A closed list of names that are common in such diagrams and missing from this one."""

PROMPT = "Please analyze this Enterprise Architecture diagram and explain what you see."
"""The request of docs/published-documents.md ("Practices that are measured")."""

REQUEST = f"{PROMPT} Name every component that is written in it, once."
"""The request with an instruction to name everything, so that an omitted name was not seen."""

_FINE = 3  # drawn at three times the size, then averaged, for smooth edges

_PAPER, _INK, _WHITE, _LINE = "#f6f8fb", "#17243d", "#ffffff", "#8796ad"
_NAVY, _BLUE, _TEAL = "#14213d", "#1f5fa8", "#0e7c86"
_VIOLET, _GREEN, _SLATE = "#6a4c93", "#2f7d4f", "#4a5a72"
_TINTS = {_BLUE: "#e3eefb", _TEAL: "#dff1f2", _VIOLET: "#eee8f6", _GREEN: "#e4f3ea"}

_Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Label:
    """A text of the image: ``lines`` under each other, centred in ``box``.

    The box is left, top, right, bottom in pixels; the text stays inside it.
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
    """Every text of the image with its box; each component occurs once."""
    return _layout()[1]


def draw() -> Image.Image:
    """The image as RGB; every call returns the same pixels."""
    from PIL import Image, ImageDraw

    width, height = SIZE
    image = Image.new("RGB", (width * _FINE, height * _FINE), _PAPER)
    pen = ImageDraw.Draw(image)
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
    return image.reduce(_FINE)


def _layout() -> tuple[tuple[_Shape, ...], tuple[Label, ...]]:
    """Boxes from back to front, and the texts on top of them."""
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
    """A band across the image: its name on the left, its parts side by side."""
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
    """A block: its name at the top, a caption, and its parts in two columns."""
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
    """White boxes in a grid, row by row; a tall box has a line for each word of the name."""
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
    """Rings around the centre, and a double-headed arrow to each of the four blocks."""
    x, y = 677, 362
    for start, end in (
        ((x, 168), (x, y - 126)),
        ((x, y + 126), (x, 556)),
        ((480, y), (x - 126, y)),
        ((x + 126, y), (875, y)),
    ):
        _arrow(pen, start, end)
    for radius, fill, outline in (
        (124, "#d3e9ec", _TEAL),
        (106, _WHITE, _TEAL),
        (92, _TEAL, _NAVY),
    ):
        pen.ellipse(
            _fine((x - radius, y - radius, x + radius, y + radius)),
            fill=fill,
            outline=outline,
            width=2 * _FINE,
        )
    for dx, dy in ((81, 81), (-81, 81), (81, -81), (-81, -81)):
        pen.ellipse(_fine((x + dx - 9, y + dy - 9, x + dx + 9, y + dy + 9)), fill=_NAVY)


def _arrow(pen: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int]) -> None:
    """A vertical or horizontal arrow whose two heads have their tips at ``start`` and ``end``."""
    (x0, y0), (x1, y1) = start, end
    vertical = x0 == x1
    along = 12
    shaft = (x0, y0 + along, x1, y1 - along) if vertical else (x0 + along, y0, x1 - along, y1)
    pen.line(_fine(shaft), fill=_INK, width=5 * _FINE)
    for tip, direction in ((start, 1), (end, -1)):
        x, y = tip
        step = along * direction
        head = (
            (x, y, x - 9, y + step, x + 9, y + step)
            if vertical
            else (x, y, x + step, y - 9, x + step, y + 9)
        )
        pen.polygon([value * _FINE for value in head], fill=_INK)


def _write(pen: ImageDraw.ImageDraw, label: Label) -> None:
    left, top, right, bottom = label.box
    font = _font(label.height)
    step = label.height * 5 // 4
    first_line = (top + bottom) / 2 - step * (len(label.lines) - 1) / 2
    for number, line in enumerate(label.lines):
        place = ((left + right) / 2 * _FINE, (first_line + number * step) * _FINE)
        pen.text(place, line, fill=label.colour, font=font, anchor="mm", stroke_width=_bold(label))


def _bold(label: Label) -> int:
    """Headings are white and slightly heavier."""
    return 1 if label.colour == _WHITE else 0


def _font(height: int) -> ImageFont.FreeTypeFont:
    """Aileron at a height given in pixels of the finished image."""
    from PIL import ImageFont

    font = ImageFont.load_default(height * _FINE)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _fine(box: _Box) -> _Box:
    left, top, right, bottom = (value * _FINE for value in box)
    return left, top, right, bottom
