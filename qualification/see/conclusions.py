"""From looks to a verdict: pure.

===============  ===========================================================================
sees             its answers are about its images
blind            no better than the best constant answer
stale            an answer is about an earlier image
permuted         two images are taken for each other
wrong colours    it tells shapes, and not colours: channels exchanged, or grey
low resolution   it tells colours and shapes, and cannot read large letters
forgets          two turns later it knows nothing of the image
cannot tell      none of these for certain, or no answers
===============  ===========================================================================

How seldom a sound deployment is given a finding, all of them together: :func:`false_alarms`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from qualification.core.declarations import Model
from qualification.judging.stats.distributions import binomial_tail
from qualification.see.series import Look, SeriesName
from qualification.tasks.questions import skills_of

SeeName = Literal[
    "sees",
    "blind",
    "stale",
    "permuted",
    "wrong colours",
    "low resolution",
    "forgets",
    "cannot tell",
]

_SOUND = 0.95
"""Share of correct answers of a deployment without a fault."""

_ENOUGH = {"shapes": 4, "words": 2, "pairs": 2, "recall": 2, "file name": 2}
"""Correct answers of a series with which it shows no fault."""

_ENOUGH_COLOURS = 0.75
"""The same as a share, because more colours are asked for where six do not decide."""


@dataclass(frozen=True)
class Conclusion:
    """The verdict, its sentence, and what shows it."""

    name: SeeName
    sentence: str
    evidence: tuple[Look, ...] = ()


def next_series(looks: Sequence[Look], model: Model) -> SeriesName | None:
    """What is still undecided; None where enough is known."""
    tried = {look.series for look in looks}
    if any(look.failure for look in looks):
        return None
    for base in ("colours", "shapes"):
        if base not in tried:
            return base
    if not _is_sighted(looks):
        # Whether an answer repeats the first one of its prompt: one in eighteen by chance.
        if "both" not in tried:
            return "both"
        undecided = conclude(looks).name == "cannot tell" and "colours again" not in tried
        return "colours again" if undecided else None
    skills = skills_of(model)
    more: tuple[tuple[str, SeriesName], ...] = (
        ("colour", "file name"),
        ("word", "words"),
        ("pair", "pairs"),
        ("recall", "recall"),
    )
    return next((s for skill, s in more if skill in skills and s not in tried), None)


def conclude(looks: Sequence[Look]) -> Conclusion:
    """The verdict on all looks so far."""
    failed = [look for look in looks if look.failure]
    if failed:
        return Conclusion("cannot tell", f"cannot tell: {failed[0].failure}", tuple(failed[:1]))
    colours, shapes = _of(looks, "colours"), _of(looks, "shapes")
    if not _is_sighted(looks):
        return _without_sight(looks, colours, shapes)
    for conclude_one in (_file_names, _pairs, _words, _recall):
        if (finding := conclude_one(looks)) is not None:
            return finding
    correct, count = sum(look.correct for look in looks), len(looks)
    return Conclusion("sees", f"sees: {correct} of {count} answers are correct")


def false_alarms(sound: float = _SOUND) -> float:
    """The probability that a sound deployment is given any finding, at most.

    By the union of the patterns: wrong colours take three wrong answers of six, whatever else the
    first two series show four; the others take three of four.
    """
    wrong = 1 - sound
    wrong_colours, alike = binomial_tail(3, 6, wrong), 2 * binomial_tail(4, 6, wrong)
    return wrong_colours + alike + 4 * binomial_tail(3, 4, wrong)


# --------------------------------------------------------------------------- the first two series


def _without_sight(
    looks: Sequence[Look], colours: Sequence[Look], shapes: Sequence[Look]
) -> Conclusion:
    """Colours or shapes are wrong: blind, stale, or wrong colours."""
    series = [part for part in (colours, shapes, _of(looks, "both")) if part]
    if all(_repeats_first(part) for part in series):
        return Conclusion(
            "stale",
            "stale: every answer to a prompt is about the first image that it was asked about",
            tuple(colours[:3]),
        )
    if sum(_is_late(part) for part in series) >= min(2, len(series)):
        text = "stale: each answer is about the image before"
        return Conclusion("stale", text, tuple(colours[:3]))
    if _correct(shapes) >= 5 and _correct(colours) <= 3:
        return _colours(colours)
    if all(_is_constant(part) for part in series):
        constant = Counter(look.names or (look.answer,) for look in colours).most_common(1)[0][0]
        text = f"blind: it says {' '.join(constant)!r} about {len(colours)} images of all colours"
        return Conclusion("blind", text, tuple(colours[:3]))
    correct, best = _correct([*colours, *shapes]), len(colours) / 6 + len(shapes) / 3
    if correct <= best + 1:
        text = (
            f"blind: {correct} of {len(colours) + len(shapes)} answers are correct, and the best "
            f"constant answers have {best:.0f}"
        )
        return Conclusion("blind", text, tuple(look for look in colours if not look.correct)[:3])
    text = (
        f"cannot tell: {_correct(colours)} of {len(colours)} colours and {_correct(shapes)} of "
        f"{len(shapes)} shapes are correct"
    )
    return Conclusion("cannot tell", text, _wrong([*colours, *shapes]))


def _colours(colours: Sequence[Look]) -> Conclusion:
    """Shapes are told, so it sees; the colours are others."""
    names = {look.expected: look.names for look in colours}
    exchanged = names.get(("red",)) == ("blue",) and names.get(("blue",)) == ("red",)
    how = "red and blue are exchanged" if exchanged else f"{_correct(colours)} of {len(colours)}"
    text = f"wrong colours: it tells shapes, and of the colours {how}"
    if not exchanged:
        text += " are correct"
    return Conclusion("wrong colours", text, _wrong(colours))


# --------------------------------------------------------------------------- one fault each


def _file_names(looks: Sequence[Look]) -> Conclusion | None:
    part = _of(looks, "file name")
    if _correct(part) >= _ENOUGH["file name"] or not part:
        return None
    if _repeats_first(part) or _is_late(part):
        text = "stale: another image under the same file name is answered as the one before"
        return Conclusion("stale", text, tuple(part[:3]))
    return None


def _pairs(looks: Sequence[Look]) -> Conclusion | None:
    part = _of(looks, "pairs")
    if _correct(part) >= _ENOUGH["pairs"] or not part:
        return None
    reversed_, lost = 0, Counter[int]()
    for look in part:
        reversed_ += look.names == look.expected[::-1]
        lost.update(n for n, colour in enumerate(look.expected) if set(look.names) == {colour})
    if reversed_ >= 3:
        text = f"permuted: {reversed_} of {len(part)} pairs of images are told in the wrong order"
        return Conclusion("permuted", text, _wrong(part))
    if lost and lost.most_common(1)[0][1] >= 3:
        place = ("first", "second")[lost.most_common(1)[0][0]]
        text = f"permuted: of two images it sees the {place} one only"
        return Conclusion("permuted", text, _wrong(part))
    return None


def _words(looks: Sequence[Look]) -> Conclusion | None:
    part = _of(looks, "words")
    if _correct(part) >= _ENOUGH["words"] or not part:
        return None
    text = f"low resolution: {_correct(part)} of {len(part)} printed words are read"
    return Conclusion("low resolution", text, _wrong(part))


def _recall(looks: Sequence[Look]) -> Conclusion | None:
    part = _of(looks, "recall")
    if _correct(part) >= _ENOUGH["recall"] or not part:
        return None
    text = f"forgets: {_correct(part)} of {len(part)} answers about an image of two turns before"
    return Conclusion("forgets", f"{text} are correct", _wrong(part))


# --------------------------------------------------------------------------- patterns


def _of(looks: Sequence[Look], series: SeriesName) -> list[Look]:
    return [look for look in looks if look.series == series]


def _correct(looks: Sequence[Look]) -> int:
    return sum(look.correct for look in looks)


def _wrong(looks: Sequence[Look]) -> tuple[Look, ...]:
    return tuple(look for look in looks if not look.correct)[:3]


def _is_sighted(looks: Sequence[Look]) -> bool:
    """Whether its answers are about the images that it is shown."""
    colours = [*_of(looks, "colours"), *_of(looks, "colours again")]
    return (
        _correct(colours) >= _ENOUGH_COLOURS * len(colours)
        and _correct(_of(looks, "shapes")) >= _ENOUGH["shapes"]
    )


def _repeats_first(part: Sequence[Look]) -> bool:
    """Every answer is the first one, and that one is correct."""
    return part[0].correct and all(look.names == part[0].names for look in part)


def _is_late(part: Sequence[Look]) -> bool:
    """All but one answer are about the image before, and few about their own."""
    late = sum(look.names == before.expected for before, look in pairwise(part))
    return late >= len(part) - 2 and late > _correct(part)


def _is_constant(part: Sequence[Look]) -> bool:
    answers = Counter((look.names or (look.answer,)) for look in part)
    return answers.most_common(1)[0][1] >= len(part) - 1
