"""Images and clips that are described by whole numbers and drawn on demand.

Everything is a pure function of the random generator that the caller passes. Only :mod:`random`,
:mod:`hashlib` and Pillow's drawing are used, so the parent process can import this module without
a model library.

Training and held-out scenes are disjoint by construction: the SHA-256 of its parameters assigns a
scene to a split, whatever the seed.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (215, 40, 40),
    "green": (40, 165, 65),
    "blue": (45, 80, 215),
    "yellow": (235, 205, 40),
    "purple": (150, 55, 185),
    "black": (25, 25, 25),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle")
SIDES: tuple[str, ...] = ("left", "right", "above", "below")
MOVES: tuple[str, ...] = ("left", "right", "up", "down")
WORDS: tuple[str, ...] = ("box", "cat", "dog", "ice", "key", "map", "sun", "zip")
"""Printed in capital letters."""

MOST = 5
"""The largest number of shapes in an image of the skill ``count``."""

FRAMES = 8
SIZES: tuple[tuple[int, int], ...] = (
    (84, 84),
    (112, 84),
    (84, 112),
    (112, 112),
    (140, 84),
    (84, 140),
    (168, 84),
    (100, 90),
    (90, 130),
)
"""Width and height of the images in pixels; the last two are not multiples of a patch."""

CLIP_SIZES: tuple[tuple[int, int], ...] = ((84, 84), (112, 84))

SceneKind = Literal["shape", "count", "position", "word"]
SCENE_KINDS: tuple[SceneKind, ...] = ("shape", "count", "position", "word")

_COLOUR_JITTER = 12  # levels of 255 by which a channel may differ from the named colour
_HELDOUT_SHARE = 64  # of the 256 values of the hash's first byte
_GREYS = (205, 250)
_DOT = (90, 90, 90)


@dataclass(frozen=True)
class Mark:
    """One filled shape; ``x`` and ``y`` are its centre, ``radius`` half its width, in pixels."""

    shape: str
    fill: Rgb
    x: int
    y: int
    radius: int


@dataclass(frozen=True)
class Print:
    """A word in capital letters; ``x`` and ``y`` are its upper left corner.

    ``scale`` is how many pixels a dot of Pillow's 6 x 11 bitmap font is wide.
    """

    word: str
    fill: Rgb
    x: int
    y: int
    scale: int


@dataclass(frozen=True)
class Scene:
    """What one image shows; lengths in pixels, colours in levels 0..255.

    ``facts`` are pairs of a skill and the correct answer for this scene.
    """

    width: int
    height: int
    background: Rgb
    marks: tuple[Mark, ...]
    prints: tuple[Print, ...]
    facts: tuple[tuple[str, str], ...]

    def fact(self, skill: str) -> str:
        """Return the answer for ``skill``; KeyError if the scene has none."""
        return dict(self.facts)[skill]

    def split(self) -> str:
        """Return ``"train"`` or ``"heldout"`` by a hash of the parameters, without a seed."""
        return _split_of(repr(self))

    def draw(self) -> Image.Image:
        """Draw the scene as an RGB image of ``width`` x ``height`` pixels."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (self.width, self.height), self.background)
        pen = ImageDraw.Draw(image)
        for mark in self.marks:
            x, y, r = mark.x, mark.y, mark.radius
            if mark.shape == "circle":
                pen.ellipse((x - r, y - r, x + r, y + r), fill=mark.fill)
            elif mark.shape == "square":
                pen.rectangle((x - r, y - r, x + r, y + r), fill=mark.fill)
            else:
                pen.polygon(((x, y - r), (x + r, y + r), (x - r, y + r)), fill=mark.fill)
        for line in self.prints:
            mask = _letters(line.word, line.scale)
            image.paste(line.fill, (line.x, line.y), mask)
        return image


@dataclass(frozen=True)
class Clip:
    """``FRAMES`` scenes of one size, one second apart, in which a shape moves in one direction."""

    scenes: tuple[Scene, ...]
    move: str

    def split(self) -> str:
        """Return ``"train"`` or ``"heldout"``, as for a scene."""
        return _split_of(repr(self))

    def frames(self) -> list[Image.Image]:
        """Draw the frames in order."""
        return [scene.draw() for scene in self.scenes]


def random_scene(rng: random.Random, kind: SceneKind) -> Scene:
    """Return a scene to ask about: one shape, some to count, one beside a dot, or a word."""
    return {
        "shape": _shape_scene,
        "count": _count_scene,
        "position": _position_scene,
        "word": _word_scene,
    }[kind](rng)


def random_clip(rng: random.Random) -> Clip:
    """Return a clip of one shape that moves left, right, up or down across the frame."""
    move = rng.choice(MOVES)
    shape, _, fill = _shape_and_fill(rng)
    width, height = rng.choice(CLIP_SIZES)
    background = _grey(rng)
    radius = rng.randint(9, 14)
    long, short = (width, height) if move in ("left", "right") else (height, width)
    travel = rng.randint(long * 45 // 100, long - 2 * radius - 6)
    start = rng.randint(radius + 2, long - radius - 3 - travel)
    across = rng.randint(radius + 2, short - radius - 3)
    places = [start + travel * step // (FRAMES - 1) for step in range(FRAMES)]
    if move in ("left", "up"):
        places.reverse()
    marks = [
        Mark(shape, fill, *((at, across) if move in ("left", "right") else (across, at)), radius)
        for at in places
    ]
    return Clip(tuple(Scene(width, height, background, (mark,), (), ()) for mark in marks), move)


def _shape_scene(rng: random.Random) -> Scene:
    shape, colour, fill = _shape_and_fill(rng)
    width, height = rng.choice(SIZES)
    short = min(width, height)
    radius = rng.randint(short * 22 // 100, short * 36 // 100)
    x = rng.randint(radius + 2, width - radius - 3)
    y = rng.randint(radius + 2, height - radius - 3)
    facts = (("colour", colour), ("shape", shape), ("both", f"{colour} {shape}"))
    return Scene(width, height, _grey(rng), (Mark(shape, fill, x, y, radius),), (), facts)


def _count_scene(rng: random.Random) -> Scene:
    """Equal shapes in the cells of a grid, so that none touches another."""
    shape, _, fill = _shape_and_fill(rng)
    width, height = rng.choice(SIZES)
    columns, rows = (3, 2) if width >= height else (2, 3)
    cell_width, cell_height = width // columns, height // rows
    count = rng.randint(1, MOST)
    marks = []
    for cell in sorted(rng.sample(range(columns * rows), count)):
        radius = rng.randint(8, min(cell_width, cell_height) // 2 - 3)
        left, top = cell % columns * cell_width, cell // columns * cell_height
        x = left + rng.randint(radius + 1, cell_width - radius - 2)
        y = top + rng.randint(radius + 1, cell_height - radius - 2)
        marks.append(Mark(shape, fill, x, y, radius))
    facts = (("count", str(count)),)
    return Scene(width, height, _grey(rng), tuple(marks), (), facts)


def _position_scene(rng: random.Random) -> Scene:
    """A shape on one side of a grey dot in the middle."""
    shape, _, fill = _shape_and_fill(rng)
    width, height = rng.choice(SIZES)
    side = rng.choice(SIDES)
    dot_x, dot_y = width // 2 + rng.randint(-4, 4), height // 2 + rng.randint(-4, 4)
    radius = rng.randint(10, 13)
    along = rng.randint(radius + 9, 25)
    across = rng.randint(-5, 5)
    x, y = {
        "left": (dot_x - along, dot_y + across),
        "right": (dot_x + along, dot_y + across),
        "above": (dot_x + across, dot_y - along),
        "below": (dot_x + across, dot_y + along),
    }[side]
    marks = (Mark("circle", _DOT, dot_x, dot_y, 4), Mark(shape, fill, x, y, radius))
    return Scene(width, height, _grey(rng), marks, (), (("position", side),))


def _word_scene(rng: random.Random) -> Scene:
    """A word in large letters, in the upper left of the image."""
    word = rng.choice(WORDS)
    _, _, fill = _shape_and_fill(rng)
    width, height = rng.choice(SIZES)
    scale = 4
    x, y = 4 + rng.randint(0, 5), 12 + rng.randint(0, 5)
    facts = (("word", word),)
    return Scene(width, height, _grey(rng), (), (Print(word, fill, x, y, scale),), facts)


def _shape_and_fill(rng: random.Random) -> tuple[str, str, Rgb]:
    """Return a shape, a colour's name and a fill near that colour."""
    shape, colour = rng.choice(SHAPES), rng.choice(tuple(COLOURS))
    red, green, blue = (_jittered(rng, level) for level in COLOURS[colour])
    return shape, colour, (red, green, blue)


def _grey(rng: random.Random) -> Rgb:
    level = rng.randint(*_GREYS)
    return level, level, level


def _jittered(rng: random.Random, level: int) -> int:
    return min(255, max(0, level + rng.randint(-_COLOUR_JITTER, _COLOUR_JITTER)))


def _extent(word: str, scale: int) -> tuple[int, int]:
    return 6 * len(word) * scale, 11 * scale


def _letters(word: str, scale: int) -> Image.Image:
    """Return the word in capitals as a mask; Pillow's bitmap font is the same in all releases."""
    from PIL import Image, ImageDraw, ImageFont

    mask = Image.new("1", _extent(word, 1), 0)
    font = ImageFont.load_default_imagefont()
    ImageDraw.Draw(mask).text((0, 0), word.upper(), fill=1, font=font)
    return mask.resize(_extent(word, scale), Image.Resampling.NEAREST)


def _split_of(text: str) -> str:
    first_byte = hashlib.sha256(text.encode()).digest()[0]
    return "heldout" if first_byte < _HELDOUT_SHARE else "train"
