"""The endless stream of generated questions that a soak test asks.

Every image is a new one, so that memory that is kept for each image grows and no cache answers.
Every tenth question is one that was answered correctly at the beginning: a canary answers 95 % of
new questions correctly (its manifest has the accuracy), but an answer that was correct once must
stay correct for days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.tasks.questions import SKILLS, Question, generate

AGAIN_EVERY = 10
REMEMBERED = 8
_BATCH = 70


def stream(seed: int, skills: Sequence[str] = SKILLS) -> Iterator[Question]:
    """Questions without an end; the same seed and skills give the same questions."""
    batch = 0
    while True:
        yield from generate(seed * 1_000_003 + batch, _BATCH, "heldout", skills)
        batch += 1


class Questions:
    """New questions, and every :data:`AGAIN_EVERY`-th one that was answered correctly before."""

    def __init__(self, seed: int, skills: Sequence[str] = SKILLS) -> None:
        self._new = stream(seed, skills)
        self._answered: list[Question] = []
        self._count = 0

    def __iter__(self) -> Questions:
        return self

    def __next__(self) -> Question:
        self._count += 1
        turn, position = divmod(self._count, AGAIN_EVERY)
        if position == 0 and self._answered:
            return self._answered[turn % len(self._answered)]
        return next(self._new)

    def add_correct(self, question: Question) -> None:
        """Remember a question that was answered correctly, up to :data:`REMEMBERED` of them."""
        if len(self._answered) < REMEMBERED and not self.was_correct(question):
            self._answered.append(question)

    def was_correct(self, question: Question) -> bool:
        """Whether this very question was answered correctly before."""
        return any(answered is question for answered in self._answered)
