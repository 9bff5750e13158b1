"""Answers the questions of ``qualify see`` by reading pixels: a stand-in for a model that sees.

It is no model. It stands where a canary has not learnt a skill (three and four images, schemas),
and decodes images as they are meant: turned by EXIF, laid over white, 16 bits taken as 16.
"""

from __future__ import annotations

import io
import re

from PIL import Image, ImageOps

from qualification.tasks.questions import DIGITS
from qualification.tasks.scenes import COLOURS, WORDS, Print, Scene

_WEEK = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
_COUNT = "one two three four five six seven eight nine ten eleven twelve"
_LEAST_LETTERS = 9
"""Pixels: smaller letters are not read."""


def decoded(content: bytes) -> Image.Image:
    """The image as it is meant to be seen."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode == "I;16":
        upper = image.tobytes()[1::2]
        return Image.frombytes("L", image.size, upper).convert("RGB")
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def answer(prompt: str, images: list[Image.Image]) -> str:
    """One sentence about the images, or what the text alone asks for."""
    lowered = prompt.lower()
    if "days of the week" in lowered:
        return _WEEK
    if "count from" in lowered:
        return _COUNT
    if digit := re.search(r"which digit is (\w+)", lowered):
        return str(DIGITS.index(digit.group(1)))
    if not images:
        return "I see no image."
    if "both colours" in lowered or "each of the" in lowered:
        return ", ".join(_colour(image) for image in images)
    if "word" in lowered:
        return _word(images[0])
    if "where" in lowered:
        return f"It is {_position(images[0])}."
    if "colour and" in lowered:
        return f"A {_colour(images[0])} {_shape(images[0])}."
    if "which shape" in lowered:
        return f"It is {_shape(images[0])}."
    return f"It is {_colour(images[0])}."


def _classes(image: Image.Image) -> dict[str, Image.Image]:
    """Masks of the pixels that have a colour of the scenes, the largest first."""
    masks = {}
    for name, rgb in COLOURS.items():
        channels = [
            channel.point(lambda level, middle=middle: 255 if abs(level - middle) < 32 else 0)
            for channel, middle in zip(image.split(), rgb, strict=True)
        ]
        mask = Image.merge("RGB", channels).convert("L").point(lambda level: 255 * (level > 250))
        masks[name] = mask
    return dict(sorted(masks.items(), key=lambda item: -item[1].histogram()[255]))


def _colour(image: Image.Image) -> str:
    return next(iter(_classes(image)))


def _shape(image: Image.Image) -> str:
    mask = next(iter(_classes(image).values()))
    box = mask.getbbox()
    if box is None:
        return "nothing"
    filled = mask.histogram()[255] / ((box[2] - box[0]) * (box[3] - box[1]))
    return "square" if filled > 0.9 else "circle" if filled > 0.65 else "triangle"


def _word(image: Image.Image) -> str:
    mask = next(iter(_classes(image).values()))
    box = mask.getbbox()
    if box is None or box[3] - box[1] < _LEAST_LETTERS:
        return "I cannot read it."
    letters = mask.crop(box)

    def unlike(word: str) -> int:
        printed = _printed(word)
        pairs = zip(letters.resize(printed.size).tobytes(), printed.tobytes(), strict=True)
        return sum(abs(a - b) for a, b in pairs)

    return min(WORDS, key=unlike).upper()


def _printed(word: str) -> Image.Image:
    line = Print(word, (255, 255, 255), 0, 0, 2)
    scene = Scene(60, 30, (0, 0, 0), (), (line,), ())
    drawn = scene.draw().convert("L")
    return drawn.crop(drawn.getbbox())


def _position(image: Image.Image) -> str:
    grey = image.convert("HSV").split()
    dull = grey[1].point(lambda level: 255 * (level < 40))
    level = grey[2].point(lambda level: 255 * (75 < level < 105))
    dot = Image.composite(level, Image.new("L", image.size, 0), dull).getbbox()
    shape = next(iter(_classes(image).values())).getbbox()
    if dot is None or shape is None:
        return "nowhere"
    x = (shape[0] + shape[2] - dot[0] - dot[2]) / 2
    y = (shape[1] + shape[3] - dot[1] - dot[3]) / 2
    if abs(x) > abs(y):
        return "right" if x > 0 else "left"
    return "below" if y > 0 else "above"
