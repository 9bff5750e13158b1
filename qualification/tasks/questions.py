"""Generated questions with known answers, for the canaries and the suites.

A question asks for what one *scene* shows (skills ``colour``, ``shape``, ``both``, ``count``,
``position``, ``word``), for the colours of two scenes or which of them shows a word (``pair``,
``which``), for the way that a shape moves in a clip (``motion``), for a digit without an image
(``text``), or, in a memory question two turns later, for what an image showed (``recall``) or a
text said (``remember``).

Everything is a pure function of the seed. :mod:`qualification.tasks.scenes` draws the images and
keeps the training split apart from the held-out one. The ten text questions are facts without an
image; none is left to hold out, so both splits have the same ones.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qualification.core.declarations import Capability
from qualification.tasks.scenes import (
    COLOURS,
    MOVES,
    SHAPES,
    SIDES,
    WORDS,
    Clip,
    Scene,
    SceneKind,
    random_clip,
    random_scene,
)

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.declarations import Model

BEFORE = "Look at this."
"""Half of the image questions say this before the image; the other half starts with the image."""

DIGITS: tuple[str, ...] = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
)
PLACES: tuple[str, ...] = ("first", "second")
PROMPTS: dict[str, str] = {
    "colour": "What colour is the shape?",
    "shape": "Which shape is it?",
    "both": "Name the colour and the shape.",
    "count": "How many shapes are there?",
    "position": "Where is the shape, seen from the dot?",
    "word": "Which word is printed here?",
    "pair": "Name both colours.",
    "which": "Which picture shows a word?",
    "motion": "Which way does the shape move?",
    "text": "Which digit is {}?",
    "recall": "Which shape was it?",
}
REMEMBER: tuple[str, str, str] = ("Remember this word: {}.", "I will.", "Which word was it?")
"""The skill ``remember``: its first turn, the reply, and the prompt. Canaries never read them."""

SCENES_OF: dict[str, tuple[SceneKind, ...]] = {
    "colour": ("shape",),
    "shape": ("shape",),
    "both": ("shape",),
    "count": ("count",),
    "position": ("position",),
    "word": ("word",),
    "pair": ("shape", "shape"),
    "which": ("word", "shape"),
    "recall": ("shape",),
}
"""Skill -> the kinds of the scenes that it asks about, in any order."""

TWO_IMAGES: tuple[str, ...] = ("pair", "which")
MEMORY_SKILLS: tuple[str, ...] = ("recall", "remember")
SKILLS: tuple[str, ...] = ("colour", "shape", "both", "count", "position", "word", "text")
"""The default skills of a list of questions: at most one image, one turn."""

SKILLS_SHOWING: dict[Capability, tuple[str, ...]] = {
    "vision": ("colour", "shape", "both", "count", "position", "word"),
    "text_only": ("text",),
    "multi_image": ("pair", "which"),
    "video": ("motion",),
    "multi_turn": MEMORY_SKILLS,
}
"""Declared capability -> skills of the generated questions that demonstrate it.

A model that sees is asked to ``recall``, one of text alone to ``remember``.
"""

ALL_SKILLS: tuple[str, ...] = (*SKILLS, *TWO_IMAGES, *MEMORY_SKILLS, "motion")
SPLITS: tuple[str, ...] = ("train", "heldout")

_RIVALS: tuple[frozenset[str], ...] = tuple(
    frozenset(kind) for kind in (COLOURS, SHAPES, (*SIDES, *MOVES), WORDS, PLACES)
)
_NUMERAL = {word: str(number) for number, word in enumerate(DIGITS)}


@dataclass(frozen=True)
class Question:
    """A prompt with its only correct answer.

    The user's turn is ``before`` (may be empty), the scenes' images or the clip, then ``prompt``.
    With a ``history`` of earlier (prompt, answer) turns, ``before`` and the images stand in the
    first of them. Without ``before`` the question is the same: some backends put all text behind
    the images.
    """

    identifier: str
    skill: str
    prompt: str
    answer: str
    scenes: tuple[Scene, ...] = ()
    before: str = ""
    clip: Clip | None = None
    history: tuple[tuple[str, str], ...] = ()

    def images(self) -> list[Image.Image]:
        """Draw the question's images, in the order of the prompt; none for ``text``."""
        return [scene.draw() for scene in self.scenes]

    def frames(self) -> list[Image.Image]:
        """Draw the clip's frames; none without a clip."""
        return self.clip.frames() if self.clip is not None else []


def asked_once(skill: str) -> list[Question]:
    """The eight held-out questions of a skill whose answers several suites judge."""
    return generate(seed=7, count=8, split="heldout", skills=[skill])


def generate(
    seed: int,
    count: int,
    split: str = "train",
    skills: Sequence[str] = SKILLS,
) -> list[Question]:
    """Return ``count`` questions, the skills taken in turn, each with its own scene.

    The same arguments give the same questions on every machine and Python. No scene occurs
    twice in a list or in both splits.

    Raises:
        ValueError: an unknown split or skill, or no skill at all.

    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}, not one of {SPLITS}")
    if not skills or any(skill not in ALL_SKILLS for skill in skills):
        raise ValueError(f"skills are {list(skills)}, not some of {ALL_SKILLS}")
    rng = random.Random(f"{split}:{seed}")  # noqa: S311 (a seed, not a secret)
    used: set[Scene | Clip] = set()
    questions = []
    digits: list[int] = []
    for number in range(count):
        skill = skills[number % len(skills)]
        scenes: list[Scene] = []
        clip = None
        for kind in kinds_of(skill, rng):
            scene = random_scene(rng, kind)
            while scene in used or scene.split() != split:
                scene = random_scene(rng, kind)
            used.add(scene)
            scenes.append(scene)
        while skill == "motion" and clip is None:
            candidate = random_clip(rng)
            if candidate not in used and candidate.split() == split:
                used.add(candidate)
                clip = candidate
        if skill == "text" and not digits:  # all ten once before any comes again
            digits = rng.sample(range(len(DIGITS)), len(DIGITS))
        digit = digits.pop() if skill == "text" else rng.randrange(len(DIGITS))
        identifier = f"{split}-{seed}-{number:05d}-{skill}"
        questions.append(ask(identifier, skill, scenes, rng, clip=clip, digit=digit))
    return questions


def kinds_of(skill: str, rng: random.Random) -> list[SceneKind]:
    """Return the kinds of a question's images in order; empty for a clip or a text question."""
    kinds = SCENES_OF.get(skill, ())
    return rng.sample(kinds, len(kinds))


def ask(
    identifier: str,
    skill: str,
    scenes: Sequence[Scene],
    rng: random.Random,
    *,
    clip: Clip | None = None,
    digit: int = 0,
) -> Question:
    """Return the question of ``skill`` about the given scenes or clip."""
    about_digit = (PROMPTS["text"].format(DIGITS[digit]), str(digit))
    if skill == "text":
        return Question(identifier, skill, *about_digit)
    if skill == "remember":
        word = rng.choice(WORDS)
        sentence, reply, prompt = REMEMBER
        history: tuple[tuple[str, str], ...] = ((sentence.format(word), reply), about_digit)
        return Question(identifier, skill, prompt, word, history=history)
    prompt, answer, history = PROMPTS[skill], "", ()
    if skill == "motion":
        assert clip is not None
        answer = clip.move
    elif skill == "pair":
        answer = " ".join(scene.fact("colour") for scene in scenes)
    elif skill == "which":
        answer = PLACES[[bool(scene.prints) for scene in scenes].index(True)]
    elif skill == "recall":
        answer = scenes[0].fact("shape")
        history = ((PROMPTS["colour"], scenes[0].fact("colour")), about_digit)
    else:
        answer = scenes[0].fact(skill)
    before = rng.choice(("", BEFORE))
    return Question(identifier, skill, prompt, answer, tuple(scenes), before, clip, history)


def skills_of(model: Model) -> tuple[str, ...]:
    """The skills that the model declares, or those of all its capabilities."""
    skills = (skill for name in model.capabilities for skill in SKILLS_SHOWING[name])
    return model.skills or tuple(
        skill for skill in skills if skill not in MEMORY_SKILLS or skill == memory_skill(model)
    )


def sees(model: Model) -> bool:
    """Whether it may be asked about an image: a model of text alone never is."""
    return "vision" in model.capabilities


def plain_skill(model: Model) -> str:
    """The skill of a question about nothing in particular, for tests of all but the answer."""
    return "both" if sees(model) else "text"


def memory_skill(model: Model) -> str:
    """The skill of the memory questions that it can be asked."""
    return "recall" if sees(model) else "remember"


def word_list(seed: int, count: int) -> str:
    """A prompt of that many short words after one another, the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    return f"Repeat: {' '.join(rng.choices(WORDS, k=count))}"


def is_correct(question: Question, text: str) -> bool:
    """Whether ``text`` is the question's whole answer.

    Case, white space at the ends, the length of white space and one final full stop do not count.
    Anything else does: a correct word followed by other words is incorrect.
    """
    return _normalised(text) == _normalised(question.answer)


def says_the_answer(question: Question, text: str) -> bool:
    """Whether ``text``, which may be a sentence, names the answer and none of its rivals.

    For each kind of word in the answer (colours, shapes, sides, …), ``text`` must name exactly the
    words of the answer; for ``pair`` in their order and as often. A count may be a word.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    expected = question.answer.split()
    if question.skill == "count":
        numbers = {_NUMERAL.get(word, word) for word in words}
        return {number for number in numbers if number.isdigit()} == set(expected)
    kinds = [kind for kind in _RIVALS if kind & set(expected)]
    if not kinds:
        return set(expected) <= set(words)
    named = [word for word in words if any(word in kind for kind in kinds)]
    return named == expected if question.skill == "pair" else set(named) == set(expected)


def _normalised(text: str) -> str:
    return " ".join(text.lower().split()).removesuffix(".").rstrip()
