"""Scores what a model says of the drawn diagram: recall, invention, repetition, cut-off. Pure.

Nothing here is an opinion on the prose: names are looked up, and what is said again is counted.

- A *name* is found where its words follow each other. Case, plural and possessive, hyphens, one
  line break, markdown emphasis and "&" for "and" do not count; other punctuation, an empty line and
  the start of a list item part two words. Words are compared whole.
- *Repetition* is the largest number of times that one thing is said: that a component heads a line,
  or is named in one sentence; that a line or a sentence comes, whatever stands between; that up to
  24 words follow themselves at once. Headings and lines that end with a colon may come again.
  A component that is named in many sentences is no repetition: the hub is what all is about.
- *Cut off* is an answer that ended at its token limit, or in the middle of a sentence.

The answer is hostile text: its scoring takes time in proportion to its length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.tasks.diagram.picture import COMPONENTS, DECOYS
from qualification.tasks.diagram.text import (
    BREAKS,
    CELL,
    END,
    LABEL,
    MARKER,
    NAMES,
    Line,
    names_in,
    read_lines,
)

LONGEST_BLOCK = 24
"""Words of the longest block that is looked for right behind itself."""

_SHOWN = 80  # characters of what is repeated


@dataclass(frozen=True)
class DiagramScore:
    """``found`` and ``missing`` are all components, ``invented`` the decoys that were named.

    ``repetition`` counts how often ``repeated`` (in lower case, singular) was said: 1 is once.
    """

    found: tuple[str, ...]
    missing: tuple[str, ...]
    invented: tuple[str, ...]
    repetition: int
    repeated: str
    cut_off: bool

    @property
    def recall(self) -> float:
        """Share of the components that were named."""
        return len(self.found) / (len(self.found) + len(self.missing))

    def metrics(self) -> dict[str, float]:
        """Metric of records.METRICS -> value."""
        return {
            "diagram_recall": self.recall,
            "diagram_inventions": float(len(self.invented)),
            "diagram_repetition": float(self.repetition),
            "diagram_cut_off": float(self.cut_off),
        }

    def sentence(self) -> str:
        """All of it, for a reader."""
        text = f"{len(self.found)} of {len(self.found) + len(self.missing)} components named"
        text += f" (not: {', '.join(self.missing)})" * bool(self.missing)
        text += f"; invented: {', '.join(self.invented) or 'none'}"
        text += f"; said {self.repetition} times: {self.repeated!r}" * (self.repetition > 1)
        return text + ("; cut off" if self.cut_off else "; ended by itself")


def score(text: str, finish_reason: str = "stop") -> DiagramScore:
    """Hold an answer against the picture; ``finish_reason`` is the backend's, stop or length."""
    lines = read_lines(text)
    stream = [token for line in lines for token in line.tokens]
    named = {name for _, name in names_in(stream)}
    repetition, repeated = _repetition(lines, stream)
    return DiagramScore(
        found=tuple(name for name in COMPONENTS if name in named),
        missing=tuple(name for name in COMPONENTS if name not in named),
        invented=tuple(name for name in DECOYS if name in named),
        repetition=repetition,
        repeated=repeated if len(repeated) <= _SHOWN else f"{repeated[:_SHOWN]}…",
        cut_off=finish_reason == "length" or ends_in_mid_sentence(text),
    )


# --------------------------------------------------------------------------- repetition


def _repetition(lines: Sequence[Line], stream: Sequence[str]) -> tuple[int, str]:
    """How often the thing that is said most often is said, and that thing."""
    said: Counter[str] = Counter()
    for line in lines:
        if not line.label:
            said[_text(line.tokens)] += 1
    most = [_most(said), _most(_sentences(stream)), _most(_heads(lines))]
    most += [_most(_mentions(stream)), _tandem(stream)]
    return max(most, key=lambda pair: pair[0])


def _most(said: Counter[str]) -> tuple[int, str]:
    said.pop("", None)
    return max(((count, text) for text, count in said.items()), default=(0, ""))


def _text(tokens: Sequence[str]) -> str:
    """The words alone; '' for a line without any letter."""
    words = [token for token in tokens if token not in BREAKS]
    return " ".join(words) if any(not word.isdigit() for word in words) else ""


def _sentences(stream: Sequence[str]) -> Counter[str]:
    said: Counter[str] = Counter()
    start = 0
    for place, token in enumerate((*stream, END)):
        if token == END:
            if place == start or stream[place - 1] != LABEL:
                said[_text(stream[start:place])] += 1
            start = place + 1
    return said


def _heads(lines: Sequence[Line]) -> Counter[str]:
    """Component -> lines that begin with it and nothing else before the next break."""
    said: Counter[str] = Counter()
    for line in lines:
        tokens = line.tokens[1:] if line.tokens[:1] == (END,) else line.tokens
        for words, name in NAMES.get(tokens[0], ()) if tokens else ():
            after = tokens[len(words) : len(words) + 1]
            if tokens[: len(words)] == words and (not after or after[0] in BREAKS):
                said[name.lower()] += 1
    return said


def _mentions(stream: Sequence[str]) -> Counter[str]:
    """Component -> the most times that one sentence names it."""
    most: Counter[str] = Counter()
    now: Counter[str] = Counter()
    names = dict(names_in(stream))
    for place, token in enumerate(stream):
        if token == END:
            now.clear()
        elif place in names:
            name = names[place].lower()
            now[name] += 1
            most[name] = max(most[name], now[name])
    return most


def _tandem(stream: Sequence[str]) -> tuple[int, str]:
    """The most times that a block of words follows itself at once, and the block."""
    import numpy

    words = [token for token in stream if token == CELL or token not in BREAKS]
    if not words:
        return 0, ""
    numbers: dict[str, int] = {}
    # The edge of a table's cell equals nothing: columns repeat themselves by right.
    codes = numpy.array(
        [
            -1 - place if word == CELL else numbers.setdefault(word, len(numbers))
            for place, word in enumerate(words)
        ]
    )
    best = (1, "")
    for size in range(1, min(LONGEST_BLOCK, len(codes) // 2) + 1):
        differ = numpy.flatnonzero(codes[size:] != codes[:-size])
        edges = numpy.concatenate(([-1], differ, [len(codes) - size]))
        runs = numpy.diff(edges) - 1
        longest = int(runs.argmax())
        block = _text(words[edges[longest] + 1 : edges[longest] + 1 + size])
        count = 1 + int(runs[longest]) // size
        if count > best[0] and block:
            best = (count, block)
    return best


# --------------------------------------------------------------------------- cut-off

_CLOSERS = " \t\r\n*_`~\"')]}>\u2019\u201d"
_FINAL = ".!?\u2026\u3002\uff01\uff1f"
_HANGING = ",;:([{-/\u2013\u2014&"
_LEADING_ON = frozenset((
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "into", "is", "its", "of", "on",
    "or", "such", "that", "the", "their", "this", "to", "was", "which", "with",
))  # fmt: skip


def ends_in_mid_sentence(text: str) -> bool:
    """Whether the last line stops where no sentence, list item, heading or name ends.

    A last line without a full stop is taken for whole where it is an item, a heading or a table's
    line, has one or two words, or where each of its words begins with a capital letter or a digit;
    not where it ends with a comma, an opening bracket, emphasis that was not closed or a word that
    leads on to another.
    """
    if text.rstrip().rpartition("\n")[2].count("**") % 2:
        return True
    last = text.rstrip(_CLOSERS).rpartition("\n")[2].rstrip()
    if not last:
        return False
    if last[-1] in _FINAL:
        return False
    words = re.findall(r"[^\W_]+", last)
    if last[-1] in _HANGING or (words and words[-1].casefold() in _LEADING_ON):
        return True
    if len(words) <= 2 or MARKER.match(last) or last.lstrip().startswith("|"):
        return False
    return any(word[0].islower() for word in words if word.casefold() not in _LEADING_ON)
