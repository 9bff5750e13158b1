"""An answer about the diagram as words and the breaks between them, and the names in it. Pure.

Case, plural and possessive, hyphens, a single line break, markdown emphasis and "&" for "and" do
not count. Other punctuation, an empty line and the start of a list item separate two words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qualification.tasks.diagram.drawing import COMPONENTS, DECOYS

END, PART, LABEL, CELL = ".", ",", ":", "|"
"""Tokens that are not words: end of a sentence, a comma or similar, a colon, a table cell."""

BREAKS = frozenset((END, PART, LABEL, CELL))

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad"),
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2212", "-"),
        **dict.fromkeys("\u2013\u2014\u2015", " - "),
        "&": " and ",
    }
)
_LINE_BREAK = re.compile(r"<br ?/?>", re.IGNORECASE)
MARKER = re.compile(r"\s*(?:[-+*\u2022\u2023\u25aa\u25cf\u25e6\u00b7]|#{1,6}|\d{1,3}[.)])(?=\s)")
_PIECE = re.compile(
    r"(?P<word>[^\W_]+(?:'[^\W_]+)*)"
    r"|(?P<stop>[.!?\u2026\u3002\uff01\uff1f]+)"
    r"|(?P<dash>-+)"
    r"|(?P<mark>[^\w\s*_`~'\"-])"
)


@dataclass(frozen=True)
class Line:
    """One line as tokens. ``label``: a heading, which may occur again."""

    tokens: tuple[str, ...]
    label: bool = False


def read_lines(text: str) -> list[Line]:
    """Read an answer line by line."""
    plain = _LINE_BREAK.sub(" ", text.replace("&amp;", "&").translate(_PLAIN))
    return [_read_line(line) for line in plain.splitlines()]


def _read_line(line: str) -> Line:
    if not line.strip():
        return Line((END,))
    if line.lstrip().startswith("|"):
        return Line((END, *_words(line), END))
    marker = MARKER.match(line)
    content = (line[marker.end() :] if marker else line).strip()
    tokens = list(_words(content))
    heading = bool(marker) and line.lstrip().startswith("#")
    label = heading or _is_emphasised(content) or (bool(tokens) and tokens[-1] == LABEL)
    if marker:
        tokens.insert(0, END)
    if label:
        tokens += [LABEL, END]
    return Line(tuple(tokens), label)


def _is_emphasised(content: str) -> bool:
    """Whether the whole line except for a colon is bold."""
    return content.startswith("**") and 2 < content.find("**", 2) >= len(content.rstrip(" :")) - 2


def _words(content: str) -> Iterator[str]:
    """Words in lower case and singular, and the breaks between them."""
    before = ""
    for piece in _PIECE.finditer(content):
        text, kind = piece.group(), piece.lastgroup
        if kind == "word":
            before = _singular(text.casefold().removesuffix("'s"))
            yield before
            continue
        after = content[piece.end() : piece.end() + 1]
        spaced = not after or after.isspace()
        if kind == "stop":
            # "2. " may number items within a line, so it does not end a sentence.
            yield END if (spaced or after in "\"')]*_") and not before.isdigit() else PART
        elif kind == "dash":
            if spaced or not piece.start() or content[piece.start() - 1].isspace():
                yield PART
        else:
            yield text if text in (LABEL, CELL) else PART


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith("sses"):
        return word[:-2]
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    return word.removesuffix("s")


def _index() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    index: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for name in (*COMPONENTS, *DECOYS):
        words = tuple(_words(name))
        index.setdefault(words[0], []).append((words, name))
    return index


NAMES = _index()
"""First word -> (words, name) of the components and decoys that start with it."""


def names_in(tokens: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Position and name of each component or decoy, in the order of the text."""
    for place, token in enumerate(tokens):
        for words, name in NAMES.get(token, ()):
            if tuple(tokens[place : place + len(words)]) == words:
                yield place, name
