"""What blind answers reach: the share of a skill that chance, or one word, gets right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qualification.tasks.questions import DIGITS, PLACES
from qualification.tasks.scenes import COLOURS, MOST, MOVES, SHAPES, SIDES, WORDS

POSSIBLE: dict[str, int] = {
    "colour": len(COLOURS),
    "shape": len(SHAPES),
    "both": len(COLOURS) * len(SHAPES),
    "count": MOST,
    "position": len(SIDES),
    "word": len(WORDS),
    "pair": len(COLOURS) ** 2,
    "which": len(PLACES),
    "motion": len(MOVES),
    "text": len(DIGITS),
    "recall": len(SHAPES),
    "remember": len(WORDS),
}
"""Skill -> how many answers its questions can have."""


def chance(skill: str) -> float | None:
    """The share that guessing among all possible answers gets right; None for another skill."""
    return 1 / POSSIBLE[skill] if skill in POSSIBLE else None


def best_constant(expected: Sequence[str]) -> float:
    """The share that the most frequent of these answers, given always, gets right."""
    return max(Counter(expected).values()) / len(expected)
