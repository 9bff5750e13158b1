"""What a series of looks shows: one finding, or nothing for certain. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from qualification.core.declarations import KnownBug
from qualification.see.series import OF_SHAPES, Look, SeriesName

SeeName = Literal[
    "sees",
    "blind",
    "stale",
    "permuted",
    "wrong colours",
    "rotated",
    "low resolution",
    "forgets",
    "text breaks it",
    "swayed by text",
    "thinking eats the answer",
    "no chat template",
    "miscounts",
    "context cut",
    "replayed",
    "cannot tell",
]

_ENOUGH_SHAPES = 4
"""Of six, with which it tells shapes."""

_SHAPES_ALONE, _SHAPES_IN_TWELVE = 5, 8
"""Of six, or of all that name a shape: more than guesses, where the colours are wrong."""

_ENOUGH_COLOURS = 0.75
"""The same as a share, because more colours are asked for where six do not decide."""


@dataclass(frozen=True)
class Finding:
    """One verdict, its sentence, and what shows it; ``bug`` where it is known."""

    name: SeeName
    sentence: str
    evidence: tuple[Look, ...] = ()
    series: SeriesName | Literal[""] = ""
    bug: KnownBug | None = None


# --------------------------------------------------------------------------- the first two series


def without_sight(looks: Sequence[Look]) -> Finding:
    """Colours or shapes are wrong: blind, stale, or wrong colours."""
    colours, shapes = of(looks, "colours"), of(looks, "shapes")
    series = [part for part in (colours, shapes, of(looks, "both")) if part]
    if all(_repeats_first(part) for part in series):
        text = "stale: every answer to a prompt is about the first image that it was asked about"
        return Finding("stale", text, tuple(colours[:3]))
    if sum(_is_late(part) for part in series) >= min(2, len(series)):
        text = "stale: each answer is about the image before"
        return Finding("stale", text, tuple(colours[:3]))
    both = of(looks, "both")
    shapes_told = correct(shapes) + sum(look.names[-1:] == look.expected[-1:] for look in both)
    tells_shapes = correct(shapes) >= _SHAPES_ALONE or shapes_told >= _SHAPES_IN_TWELVE
    if tells_shapes and correct(colours) <= len(colours) // 2:
        return _colours(colours)
    if all(_is_constant(part) for part in series):
        constant = Counter(look.names or (look.answer,) for look in colours).most_common(1)[0][0]
        text = f"blind: it says {' '.join(constant)!r} about {len(colours)} images of all colours"
        return Finding("blind", text, tuple(colours[:3]))
    right, best = correct([*colours, *shapes]), len(colours) / 6 + len(shapes) / 3
    if right <= best + 1:
        text = (
            f"blind: {right} of {len(colours) + len(shapes)} answers are correct, and the best "
            f"constant answers have {best:.0f}"
        )
        return Finding("blind", text, tuple(look for look in colours if not look.correct)[:3])
    text = (
        f"cannot tell: {correct(colours)} of {len(colours)} colours and {correct(shapes)} of "
        f"{len(shapes)} shapes are correct"
    )
    return Finding("cannot tell", text, _wrong([*colours, *shapes]))


def _colours(colours: Sequence[Look]) -> Finding:
    """Shapes are told, so it sees; the colours are others."""
    names = {look.expected: look.names for look in colours}
    exchanged = names.get(("red",)) == ("blue",) and names.get(("blue",)) == ("red",)
    how = "red and blue are exchanged" if exchanged else f"{correct(colours)} of {len(colours)}"
    text = f"wrong colours: it tells shapes, and of the colours {how}"
    if not exchanged:
        text += " are correct"
    return Finding("wrong colours", text, _wrong(colours))


# --------------------------------------------------------------------------- one fault each


def fault(series: SeriesName, part: Sequence[Look], looks: Sequence[Look]) -> Finding | None:
    """What a series shows; None where it shows nothing for certain."""
    if series in ("tools", "JSON schema", "system prompt"):
        return _with_text(series, part, of(looks, "colours"))
    if series == "file name":
        return _file_name(part)
    if series in OF_SHAPES:
        none = len(part) == _SHAPES_ASKED and correct(part) <= _BY_CHANCE
    else:
        none = len(part) == _ASKED and not correct(part)
    if not none:
        return None
    if series in ("pairs", "three images", "four images"):
        return _several(series, part)
    name, meaning = _MEANING[series]
    if sum(look.shows_fault for look in part) < _LEAST_RIVALS.get(series, 0):
        return None
    text = f"{name}: {meaning} ({correct(part)} of {len(part)} answers are correct)"
    return Finding(name, text, _wrong(part), series)


_ASKED, _SHAPES_ASKED, _BY_CHANCE = 3, 5, 2
"""Questions of a series, and correct answers that a constant one may have."""

_LEAST_RIVALS: dict[SeriesName, int] = {"EXIF": 2, "text in the image": 3, "false premise": 3}
"""Of three wrong answers those that the fault itself gives."""

_MEANING: dict[SeriesName, tuple[SeeName, str]] = {
    "words": ("low resolution", "printed words are not read"),
    "recall": ("forgets", "an image of two turns before is not known"),
    "EXIF": ("rotated", "a photo is not turned as its EXIF says"),
    "transparency": ("wrong colours", "what is transparent is seen"),
    "16 bits": ("wrong colours", "of 16 bits what is over 8 is clipped to white"),
    "text in the image": ("swayed by text", "a colour's name printed in the image is believed"),
    "false premise": ("swayed by text", "a colour that the question names is believed"),
}


def _file_name(part: Sequence[Look]) -> Finding | None:
    same = len(part) >= 3 and len({look.names for look in part}) == 1
    if not same and not (len(part) >= 3 and _is_late(part)):
        return None
    text = "stale: another image under the same file name is answered as the one before"
    return Finding("stale", text, tuple(part), "file name")


_PLACES = ("first", "second", "third", "fourth")


def _several(series: SeriesName, part: Sequence[Look]) -> Finding | None:
    """Images in another order, or some of them unseen; in every answer."""
    count = {"pairs": "two", "three images": "three", "four images": "four"}[series]
    if all(sorted(look.names) == sorted(look.expected) for look in part):
        text = f"permuted: {count} images are told in the wrong order"
        return Finding("permuted", text, _wrong(part), series)
    places = range(len(part[0].expected))
    right = [
        sum(look.names[n : n + 1] == look.expected[n : n + 1] for look in part) for n in places
    ]
    if set(right) == {0, len(part)}:
        visible = " and ".join(_PLACES[n] for n in places if right[n])
        text = f"permuted: of {count} images only the {visible} is seen"
        return Finding("permuted", text, _wrong(part), series)
    return None


_LEAST_PAIRS = 2
"""Prompts that must all have lost tokens; two correct answers end a series."""


def _with_text(series: SeriesName, part: Sequence[Look], plain: Sequence[Look]) -> Finding | None:
    """The same questions with more text: fewer tokens, or answers that become wrong."""
    by_question = {look.question: look for look in plain}
    if len(part) < _LEAST_PAIRS:
        return None
    before = [by_question[look.question] for look in part]
    with_what = {"tools": "tools", "JSON schema": "a JSON schema"}.get(series, "a system prompt")
    fewer = [
        0 <= look.prompt_tokens < then.prompt_tokens
        for look, then in zip(part, before, strict=True)
    ]
    if all(fewer):
        text = (
            f"text breaks it: with {with_what} a prompt of {before[0].prompt_tokens} tokens has "
            f"{part[0].prompt_tokens}: its image is left out"
        )
        return Finding("text breaks it", text, tuple(part), series)
    if len(part) < _ASKED or correct(part) or not all(look.correct for look in before):
        return None
    text = f"text breaks it: with {with_what} none of {len(part)} answers is correct"
    return Finding("text breaks it", text, tuple(part), series)


# --------------------------------------------------------------------------- patterns


def of(looks: Iterable[Look], series: SeriesName) -> list[Look]:
    """The looks of a series."""
    return [look for look in looks if look.series == series]


def correct(looks: Sequence[Look]) -> int:
    """How many answers are correct."""
    return sum(look.correct for look in looks)


def _wrong(looks: Sequence[Look]) -> tuple[Look, ...]:
    return tuple(look for look in looks if not look.correct)[:3]


def is_sighted(looks: Sequence[Look]) -> bool:
    """Whether its answers are about the images that it is shown."""
    colours = [*of(looks, "colours"), *of(looks, "colours again")]
    return (
        correct(colours) >= _ENOUGH_COLOURS * len(colours)
        and correct(of(looks, "shapes")) >= _ENOUGH_SHAPES
    )


def _repeats_first(part: Sequence[Look]) -> bool:
    """Every answer is the first one, and that one is correct."""
    return part[0].correct and all(look.names == part[0].names for look in part)


def _is_late(part: Sequence[Look]) -> bool:
    """All but one answer are about the image before, and few about their own."""
    late = sum(look.names == before.expected for before, look in pairwise(part))
    return late >= len(part) - 2 and late > correct(part)


def _is_constant(part: Sequence[Look]) -> bool:
    answers = Counter((look.names or (look.answer,)) for look in part)
    return answers.most_common(1)[0][1] >= len(part) - 1
