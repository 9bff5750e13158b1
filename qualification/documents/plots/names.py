"""Hostile names in a plot: one line, short, and no wider than the room that it is given."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

LONGEST = 40
"""Columns of a name; a wide character takes two."""

NAMELESS = "unnamed"

_NARROW = frozenset("iljftrI.,:;|!'()[]/ -")
_BROAD = frozenset("mwMW@%…≈")
_ENDS = 300


def width_of(text: str, size: float) -> float:
    """About how wide a line is at a font size, in its unit; rather too wide than too narrow."""
    return sum(_width(character) for character in text) * size


def clipped(name: str, columns: int = LONGEST) -> str:
    """A name as one line of at most so many columns, with its end: ``@backend`` tells names apart.

    Characters that do not print, marks that stack and line breaks are left out.
    """
    return _clipped(_plain(name), columns)


def fitted(name: str, room: float, size: float) -> str:
    """A name that is at most ``room`` wide at a font size."""
    line = _plain(name)
    columns = LONGEST
    while columns > 1 and width_of(_clipped(line, columns), size) > room:
        columns -= 1
    return _clipped(line, columns)


def is_plain(text: str) -> bool:
    """Whether every character is of a width that :func:`width_of` knows: Latin, or drawn by us."""
    return all(character < "\u0250" or character in "…≈–−×→←·÷∞" for character in text)


@lru_cache(maxsize=512)
def _plain(name: str) -> str:
    if len(name) > 2 * _ENDS:
        name = f"{name[:_ENDS]}…{name[-_ENDS:]}"
    composed = unicodedata.normalize("NFC", name)
    printed = (c if c.isprintable() else " " for c in composed if not _is_stacked(c))
    return " ".join("".join(printed).split()) or NAMELESS


def _clipped(line: str, columns: int) -> str:
    if _columns(line) <= columns:
        return line
    start, at, backend = line.rpartition("@")
    ending = at + backend
    if not at or _columns(ending) > columns - 8:
        start, ending = line, _ending(line, columns // 3)
    room = columns - _columns(ending) - 1
    while start and _columns(start) > room:
        start = start[:-1]
    return f"{start}…{ending}"


def _ending(line: str, columns: int) -> str:
    start = len(line)
    while start and _columns(line[start - 1 :]) <= columns:
        start -= 1
    return line[start:]


def _columns(text: str) -> int:
    return sum(2 if _is_wide(character) else 1 for character in text)


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


def _is_stacked(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Me")


def _width(character: str) -> float:
    """In em, as in DejaVu Sans, which is broader than most."""
    if character in _NARROW:
        return 0.39
    if character in _BROAD:
        return 0.97
    if _is_wide(character):
        return 1.0
    return 0.7 if character.isupper() else 0.62
