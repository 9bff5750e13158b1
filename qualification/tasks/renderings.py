"""Scenes as other files than plain images: of a photo's size, turned by EXIF, transparent, 16 bits.

Each of the last three looks like another scene to a decoder that ignores what is special about it,
so the answer tells which of the two was seen. Pillow alone.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qualification.tasks.scenes import Mark, Print, Scene

if TYPE_CHECKING:
    from PIL import Image

SPECIAL_FORMATS: dict[str, str] = {
    "exif_rotated": "position",
    "transparent": "shape",
    "sixteen_bits": "shape",
}
"""Format -> the skill of the question that tells whether it was decoded."""

_ORIENTATION, _TURN_RIGHT = 0x0112, 6  # of EXIF: the image is to be displayed turned clockwise
_SHORTER = 0.7
"""Half the side of a square within a circle, as a share of the circle's radius."""

_INNER, _LOWER = 0.6, 0.38
"""Radius and drop of a circle within a triangle of a mark, as shares of the mark's radius."""

_DARK, _LIGHT = 8, 240
"""Levels of 255. At 16 bits the dark one is 2,056: black, and over 255, at which it is clipped."""

_SEEN_TURNED = {"above": "left", "left": "below", "below": "right", "right": "above"}
"""Position -> the one that is seen in a file whose EXIF orientation is ignored."""


@dataclass(frozen=True)
class SpecialFile:
    """A file with what it shows, and what it shows to a decoder that ignores its format."""

    content: bytes
    suffix: str
    answer: str
    ignored: str


def special(scene: Scene, file_format: str, scale: int = 1) -> SpecialFile:
    """A scene as such a file, ``scale`` times as large."""
    scene = scaled(scene, scale)
    if file_format == "exif_rotated":
        return _turned(scene)
    return _transparent(scene) if file_format == "transparent" else _sixteen_bits(scene)


def scaled(scene: Scene, factor: int) -> Scene:
    """The same scene with every length so many times as long."""
    marks = tuple(
        Mark(m.shape, m.fill, m.x * factor, m.y * factor, m.radius * factor) for m in scene.marks
    )
    prints = tuple(
        Print(p.word, p.fill, p.x * factor, p.y * factor, p.scale * factor) for p in scene.prints
    )
    width, height = scene.width * factor, scene.height * factor
    return replace(scene, width=width, height=height, marks=marks, prints=prints)


def natural(scene: Scene, side: int, letters: int = 0) -> Image.Image:
    """The scene as a photo of an object: about ``side`` pixels, lit from above, with a shadow.

    A dot of its letters has ``letters`` pixels; 0: they grow with the rest.
    """
    from PIL import Image, ImageChops, ImageFilter

    factor = max(1, side // max(scene.width, scene.height))
    large = scaled(scene, 2 * factor)
    if letters:
        small = tuple(replace(line, scale=2 * letters) for line in large.prints)
        large = replace(large, prints=small)
    drawn = large.draw().reduce(2)
    ground = Image.new("RGB", drawn.size, scene.background)
    inside = (
        ImageChops.difference(drawn, ground).convert("L").point(lambda level: min(255, level * 8))
    )
    falling = Image.linear_gradient("L").resize(drawn.size).point(lambda level: 255 - level // 6)
    lit = ImageChops.multiply(ground, Image.merge("RGB", (falling, falling, falling)))
    shadow = inside.filter(ImageFilter.GaussianBlur(2 * factor)).point(lambda level: level // 3)
    lit.paste((60, 60, 60), (factor, 2 * factor), shadow)
    lit.paste(drawn, (0, 0), inside)
    return lit


def captioned(scene: Scene, word: str) -> Scene:
    """The scene with a word printed at its lower edge."""
    dark = (30, 30, 30)
    line = Print(word, dark, 4, scene.height - 12, 1)
    return replace(scene, prints=(*scene.prints, line))


def _turned(scene: Scene) -> SpecialFile:
    """A JPEG that is stored turned to the left; its EXIF says so."""
    from PIL import Image

    image, exif = scene.draw().transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[_ORIENTATION] = _TURN_RIGHT
    answer = dict(scene.facts).get("position", "")
    content = _saved(image, "JPEG", quality=95, subsampling=0, exif=exif)
    return SpecialFile(content, "jpg", answer, _SEEN_TURNED.get(answer, ""))


def _transparent(scene: Scene) -> SpecialFile:
    """A PNG in which transparency hides what makes another shape of it."""
    from PIL import Image

    mark = _coloured(scene.marks[0])
    hidden = replace(mark, shape="circle" if mark.shape == "square" else "square")
    visible = (
        replace(mark, radius=round(mark.radius * _SHORTER)) if mark.shape == "square" else mark
    )
    image = replace(scene, marks=(hidden,)).draw()
    opaque = Image.new("L", image.size, 255)
    opaque.paste(0, (0, 0), _mask(scene, hidden))
    opaque.paste(255, (0, 0), _mask(scene, visible))
    image.putalpha(opaque)
    return SpecialFile(_saved(image, "PNG"), "png", visible.shape, hidden.shape)


def _sixteen_bits(scene: Scene) -> SpecialFile:
    """A grey PNG whose dark shape is another one where all over 8 bits is taken for white."""
    from PIL import Image

    mark = scene.marks[0]
    clipped = replace(mark, shape="square" if mark.shape == "circle" else "circle")
    if mark.shape == "circle":
        clipped = replace(clipped, radius=round(mark.radius * _SHORTER))
    elif mark.shape == "triangle":
        drop, radius = round(mark.radius * _LOWER), round(mark.radius * _INNER)
        clipped = replace(clipped, y=mark.y + drop, radius=radius)
    grey = Image.new("L", (scene.width, scene.height), _LIGHT)
    grey.paste(_DARK, (0, 0), _mask(scene, mark))
    grey.paste(0, (0, 0), _mask(scene, clipped))
    deep = b"".join(bytes((level, level)) for level in grey.tobytes())
    image = Image.frombytes("I;16", grey.size, deep)
    return SpecialFile(_saved(image, "PNG"), "png", mark.shape, clipped.shape)


def _coloured(mark: Mark) -> Mark:
    """Not black: where transparency becomes black, nothing else would be seen."""
    return replace(mark, fill=(45, 80, 215)) if max(mark.fill) < 100 else mark


def _mask(scene: Scene, mark: Mark) -> Image.Image:
    white = replace(mark, fill=(255, 255, 255))
    return replace(scene, background=(0, 0, 0), marks=(white,), prints=()).draw().convert("L")


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
