"""The series of questions that are asked about drawn images: few, balanced, each answer known.

No two answers that follow each other in a series are equal, so an answer about an earlier image is
wrong, and a constant answer is correct as often as its word is drawn.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.tasks.questions import Question, generate
from qualification.tasks.scenes import COLOURS, SHAPES, WORDS

SeriesName = Literal[
    "colours", "shapes", "both", "words", "pairs", "recall", "file name", "colours again"
]

_PLAN: dict[SeriesName, tuple[str, int]] = {
    "colours": ("colour", 6),
    "shapes": ("shape", 6),
    "both": ("both", 6),
    "words": ("word", 4),
    "pairs": ("pair", 4),
    "recall": ("recall", 4),
    "file name": ("colour", 4),
    "colours again": ("colour", 12),
}
"""Series -> the skill of its questions, and how many."""

_CANDIDATES = 20
"""Drawn for each question, so that every answer is among them."""

_VOCABULARY: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "both": (*COLOURS, *SHAPES),
    "word": WORDS,
    "pair": tuple(COLOURS),
    "recall": SHAPES,
}


@dataclass(frozen=True)
class Look:
    """A question of a series and its answer; ``failure`` is why there is none, '' with one."""

    series: SeriesName
    question: Question
    answer: str
    correct: bool
    failure: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The words of its kind (colours, shapes, …) in the answer, in their order."""
        words = "".join(c if c.isalnum() else " " for c in self.answer.lower()).split()
        vocabulary = _VOCABULARY[self.question.skill]
        return tuple(word for word in words if word in vocabulary)

    @property
    def expected(self) -> tuple[str, ...]:
        """The words of the correct answer."""
        return tuple(self.question.answer.split())


@functools.lru_cache(maxsize=1024)
def questions_of(series: SeriesName, seed: int) -> tuple[Question, ...]:
    """The questions of a series: of a seed always the same ones."""
    skill, count = _PLAN[series]
    by_answer: dict[str, list[Question]] = {}
    for question in generate(seed, _CANDIDATES * count, "heldout", [skill]):
        if skill != "pair" or len(set(question.answer.split())) > 1:
            by_answer.setdefault(question.answer, []).append(question)
    answers = sorted(by_answer)
    random.Random(f"{series}:{seed}").shuffle(answers)  # noqa: S311 (a seed, not a secret)
    return tuple(_take(by_answer, answers, number) for number in range(count))


def _take(by_answer: dict[str, list[Question]], answers: Sequence[str], number: int) -> Question:
    """Each answer in turn, so that a constant one is correct as seldom as can be."""
    turn, place = divmod(number, len(answers))
    # The next round begins with another answer than the last one ended with.
    equal = by_answer[answers[(place + turn) % len(answers)]]
    return equal[turn % len(equal)]
