"""The endless line of generated questions that an endurance run asks.

Every picture is a new one, so that what is kept per picture grows and no cache answers. Every tenth
question is one that was answered rightly at the beginning: a canary is right in 95 % of new
questions (its manifest says how often), but what it once knew it must know for days.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.tasks.questions import SKILLS, Question, generate

AGAIN_EVERY = 10
REMEMBERED = 8
_BATCH = 70


def stream(seed: int, skills: Sequence[str] = SKILLS) -> Iterator[Question]:
    """Questions without an end; the same seed and skills give the same ones."""
    batch = 0
    while True:
        yield from generate(seed * 1_000_003 + batch, _BATCH, "heldout", skills)
        batch += 1


class Questions:
    """New ones, and every :data:`AGAIN_EVERY`-th one that was right before."""

    def __init__(self, seed: int, skills: Sequence[str] = SKILLS) -> None:
        self._new = stream(seed, skills)
        self._known: list[Question] = []
        self._asked = 0

    def __iter__(self) -> Questions:
        return self

    def __next__(self) -> Question:
        self._asked += 1
        turn, left = divmod(self._asked, AGAIN_EVERY)
        if left == 0 and self._known:
            return self._known[turn % len(self._known)]
        return next(self._new)

    def was_right(self, question: Question) -> None:
        """Remember one of the first right answers."""
        if len(self._known) < REMEMBERED and not self.is_known(question):
            self._known.append(question)

    def is_known(self, question: Question) -> bool:
        """Whether it was answered rightly before."""
        return any(one is question for one in self._known)
