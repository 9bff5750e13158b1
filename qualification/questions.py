"""Generated questions with known answers, for the canaries and the capability suites.

A *scene* is one coloured shape on a light background, described by whole numbers alone; a
picture is drawn from it when it is asked for.  A question asks for the colour, the shape or
both of one scene, for the colours of two scenes in their order (skill ``pair``), or for a digit
without a picture (skill ``text``).

Everything is a pure function of the seed: only :mod:`random`, :mod:`hashlib` and Pillow's
drawing are used, so the parent process can import this module without any model library.

Train and held-out pictures are disjoint by construction: a scene belongs to the split that the
SHA-256 of its parameters says, whatever the seed.  The ten text questions are facts, not
pictures; there are no others of their kind to hold out, so they are the same in both splits.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 40, 40),
    "green": (40, 165, 65),
    "blue": (45, 80, 215),
    "yellow": (235, 205, 40),
    "purple": (150, 55, 185),
    "black": (25, 25, 25),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle")
SIZES: tuple[tuple[int, int], ...] = (
    (84, 84), (112, 84), (84, 112), (112, 112), (140, 84), (84, 140), (168, 84),
    (100, 90), (90, 130),
)  # fmt: skip
"""Width and height in pixels of the pictures; the last two are no multiples of a patch."""

BEFORE = "Look at this."
"""What half of the picture questions say before the picture; the rest start with it."""

DIGITS: tuple[str, ...] = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
PROMPTS: dict[str, str] = {
    "colour": "What colour is the shape?",
    "shape": "Which shape is it?",
    "both": "Name the colour and the shape.",
    "pair": "Name both colours.",
    "text": "Which digit is {}?",
}
SKILLS: tuple[str, ...] = ("colour", "shape", "both", "text")
"""What a question list has unless asked otherwise: one picture at most."""

ALL_SKILLS: tuple[str, ...] = (*SKILLS, "pair")
SPLITS: tuple[str, ...] = ("train", "heldout")

_COLOUR_JITTER = 12  # levels of 255 by which a channel may differ from the named colour
_HELDOUT_SHARE = 64  # of 256 values of the hash's first byte


@dataclass(frozen=True)
class Scene:
    """One shape on one background; lengths in pixels, colours in levels 0..255.

    ``x`` and ``y`` are the centre, ``radius`` half of the shape's width.
    """

    shape: str
    colour: str
    fill: tuple[int, int, int]
    background: tuple[int, int, int]
    width: int
    height: int
    x: int
    y: int
    radius: int

    def split(self) -> str:
        """Return ``"train"`` or ``"heldout"``: a hash of the parameters, no seed in it."""
        text = repr((
            self.shape, self.colour, self.fill, self.background,
            self.width, self.height, self.x, self.y, self.radius,
        ))  # fmt: skip
        first = hashlib.sha256(text.encode()).digest()[0]
        return "heldout" if first < _HELDOUT_SHARE else "train"

    def draw(self) -> Image.Image:
        """Draw the scene as an RGB picture of ``width`` x ``height`` pixels."""
        from PIL import Image, ImageDraw

        picture = Image.new("RGB", (self.width, self.height), self.background)
        pen = ImageDraw.Draw(picture)
        x, y, r = self.x, self.y, self.radius
        if self.shape == "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=self.fill)
        elif self.shape == "square":
            pen.rectangle((x - r, y - r, x + r, y + r), fill=self.fill)
        else:
            pen.polygon(((x, y - r), (x + r, y + r), (x - r, y + r)), fill=self.fill)
        return picture


@dataclass(frozen=True)
class Question:
    """A prompt with its one right answer.

    The user's turn is ``before`` (may be empty), the scenes' pictures, then ``prompt``.  Without
    ``before`` the question is the same, for a backend that puts all text behind the pictures.
    """

    identifier: str
    skill: str
    prompt: str
    answer: str
    scenes: tuple[Scene, ...] = ()
    before: str = ""

    def images(self) -> list[Image.Image]:
        """Draw the question's pictures, in the order of the prompt; none for ``text``."""
        return [scene.draw() for scene in self.scenes]


def generate(
    seed: int,
    count: int,
    split: str = "train",
    skills: Sequence[str] = SKILLS,
) -> list[Question]:
    """Return ``count`` questions, the skills taken in turn, each with its own scene.

    The same arguments give the same questions on every machine and Python.  Scenes repeat
    neither inside a list nor between the two splits.

    Raises:
        ValueError: an unknown split or skill, or no skill at all.

    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, not one of {SPLITS}")
    if not skills or any(skill not in ALL_SKILLS for skill in skills):
        raise ValueError(f"skills are {list(skills)}, not some of {ALL_SKILLS}")
    rng = random.Random(f"{split}:{seed}")  # noqa: S311 (a seed, not a secret)
    digits: list[int] = []
    seen: set[Scene] = set()
    questions = []
    for number in range(count):
        skill = skills[number % len(skills)]
        identifier = f"{split}-{seed}-{number:05d}-{skill}"
        if skill == "text":
            if not digits:
                digits = list(range(len(DIGITS)))
                rng.shuffle(digits)
            digit = digits.pop()
            prompt = PROMPTS["text"].format(DIGITS[digit])
            questions.append(Question(identifier, skill, prompt, str(digit)))
            continue
        scenes: list[Scene] = []
        while len(scenes) < (2 if skill == "pair" else 1):
            scene = _random_scene(rng)
            if scene not in seen and scene.split() == split:
                seen.add(scene)
                scenes.append(scene)
        questions.append(
            Question(
                identifier,
                skill,
                PROMPTS[skill],
                answer_about(scenes, skill),
                tuple(scenes),
                rng.choice(("", BEFORE)),
            )
        )
    return questions


def answer_about(scenes: Sequence[Scene], skill: str) -> str:
    """Return the right answer to a picture skill's prompt, in lower case."""
    return {
        "colour": scenes[0].colour,
        "shape": scenes[0].shape,
        "both": f"{scenes[0].colour} {scenes[0].shape}",
        "pair": " ".join(scene.colour for scene in scenes),
    }[skill]


def is_right(question: Question, text: str) -> bool:
    """Say whether ``text`` is the question's whole answer.

    Case, surrounding white space, runs of white space and one final full stop do not count;
    anything else does: a right word followed by others is wrong.
    """
    return _normalised(text) == _normalised(question.answer)


def says_the_answer(question: Question, text: str) -> bool:
    """Say whether ``text``, a sentence perhaps, names the answer and none of its rivals.

    Of the colours and of the shapes that the answer has, exactly the right ones must be named; for
    ``pair`` in their order, and as often.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    wanted = question.answer.split()
    kinds = [kind for kind in (set(COLOURS), set(SHAPES)) if kind & set(wanted)]
    if not kinds:
        return set(wanted) <= set(words)
    named = [word for word in words if any(word in kind for kind in kinds)]
    return named == wanted if question.skill == "pair" else set(named) == set(wanted)


def _normalised(text: str) -> str:
    return " ".join(text.lower().split()).removesuffix(".").rstrip()


def _random_scene(rng: random.Random) -> Scene:
    shape = rng.choice(SHAPES)
    colour = rng.choice(tuple(COLOURS))
    width, height = rng.choice(SIZES)
    short = min(width, height)
    radius = rng.randint(short * 22 // 100, short * 36 // 100)
    red, green, blue = (_jittered(rng, level) for level in COLOURS[colour])
    grey = rng.randint(205, 250)
    return Scene(
        shape=shape,
        colour=colour,
        fill=(red, green, blue),
        background=(grey, grey, grey),
        width=width,
        height=height,
        x=rng.randint(radius + 2, width - radius - 3),
        y=rng.randint(radius + 2, height - radius - 3),
        radius=radius,
    )


def _jittered(rng: random.Random, level: int) -> int:
    return min(255, max(0, level + rng.randint(-_COLOUR_JITTER, _COLOUR_JITTER)))
