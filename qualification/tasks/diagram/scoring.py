"""Scores a description of the diagram: recall, hallucinations, repetition, truncation. Pure.

The scores do not judge the prose: names are looked up, and repetitions are counted.

- A *name* is found where its words follow each other (``text.py`` has the rules). Words are
  compared whole.
- *Repetition* is the highest count among: line headings, mentions within one sentence, identical
  lines, identical sentences, and immediately repeated blocks of up to 24 words. Headings and lines
  that end with a colon may occur again. A component that is named in many sentences is not a
  repetition, because the whole diagram is about its hub.
- A *hallucination* is a decoy that the answer names.
- An answer is *truncated* if it ended at its token limit or in the middle of a sentence.

The answer is hostile text: scoring takes time in proportion to its length.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qualification.core.protocol import Generation
from qualification.tasks.diagram.drawing import COMPONENTS, DECOYS
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

if TYPE_CHECKING:
    from PIL import Image

LONGEST_BLOCK = 24
"""Words of the longest block whose immediate repetitions are counted."""

_SHOWN = 80  # characters of the repeated text


@dataclass(frozen=True)
class DiagramScore:
    """``named`` and ``missing`` are the components, ``hallucinated`` the decoys that were named.

    ``repetition`` counts how often ``repeated`` (in lower case, singular) occurs; 1 is once.
    """

    named: tuple[str, ...]
    missing: tuple[str, ...]
    hallucinated: tuple[str, ...]
    repetition: int
    repeated: str
    truncated: bool

    @property
    def recall(self) -> float:
        """Share of the components that were named."""
        return len(self.named) / (len(self.named) + len(self.missing))

    def metrics(self) -> dict[str, float]:
        """Metric of ``core.metrics.METRICS`` -> value."""
        return {
            "diagram_recall": self.recall,
            "diagram_hallucinations": float(len(self.hallucinated)),
            "diagram_repetition": float(self.repetition),
            "diagram_truncated": float(self.truncated),
        }

    def sentence(self) -> str:
        """The whole score for a reader."""
        text = f"{len(self.named)} of {len(self.named) + len(self.missing)} components named"
        text += f" (not: {', '.join(self.missing)})" * bool(self.missing)
        text += f"; hallucinated: {', '.join(self.hallucinated) or 'none'}"
        text += f"; {self.repeated!r} occurs {self.repetition} times" * (self.repetition > 1)
        return text + ("; truncated" if self.truncated else "; complete")


@dataclass(frozen=True)
class DiagramLimits:
    """The limits for an answer about the diagram: shares of 1, and counts."""

    recall: float = 0.5
    hallucinations: int = 0
    repetition: int = 2
    may_be_truncated: bool = False


@dataclass(frozen=True)
class Diagram:
    """The drawn diagram with its request, and the scoring of an answer to it."""

    image: Image.Image
    request: str
    max_tokens: int

    def score(self, generation: Generation) -> DiagramScore:
        """Compare an answer with the labels of the image."""
        return score(generation.text, generation.finish_reason)


def score(text: str, finish_reason: str = "stop") -> DiagramScore:
    """Compare an answer with the labels; ``finish_reason`` is the backend's, stop or length."""
    lines = read_lines(text)
    stream = [token for line in lines for token in line.tokens]
    names = {name for _, name in names_in(stream)}
    repetition, repeated = _repetition(lines, stream)
    return DiagramScore(
        named=tuple(name for name in COMPONENTS if name in names),
        missing=tuple(name for name in COMPONENTS if name not in names),
        hallucinated=tuple(name for name in DECOYS if name in names),
        repetition=repetition,
        repeated=repeated if len(repeated) <= _SHOWN else f"{repeated[:_SHOWN]}…",
        truncated=finish_reason == "length" or ends_in_mid_sentence(text),
    )


# --------------------------------------------------------------------------- repetition


def _repetition(lines: Sequence[Line], stream: Sequence[str]) -> tuple[int, str]:
    """The highest count of any repetition, and the repeated text."""
    whole_lines = Counter(_text(line.tokens) for line in lines if not line.label)
    maxima = [_most_common(whole_lines), _most_common(_sentences(stream))]
    maxima += [_most_common(_heads(lines)), _most_common(_mentions(stream)), _tandem(stream)]
    return max(maxima, key=lambda maximum: maximum[0])


def _most_common(counts: Counter[str]) -> tuple[int, str]:
    counts.pop("", None)
    return max(((count, text) for text, count in counts.items()), default=(0, ""))


def _text(tokens: Sequence[str]) -> str:
    """Only the words; '' for a line without a letter."""
    words = [token for token in tokens if token not in BREAKS]
    return " ".join(words) if any(not word.isdigit() for word in words) else ""


def _sentences(stream: Sequence[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    start = 0
    for place, token in enumerate((*stream, END)):
        if token == END:
            if place == start or stream[place - 1] != LABEL:
                counts[_text(stream[start:place])] += 1
            start = place + 1
    return counts


def _heads(lines: Sequence[Line]) -> Counter[str]:
    """Component -> lines that start with it and have nothing else before the next break."""
    counts: Counter[str] = Counter()
    for line in lines:
        tokens = line.tokens[1:] if line.tokens[:1] == (END,) else line.tokens
        for words, name in NAMES.get(tokens[0], ()) if tokens else ():
            after = tokens[len(words) : len(words) + 1]
            if tokens[: len(words)] == words and (not after or after[0] in BREAKS):
                counts[name.lower()] += 1
    return counts


def _mentions(stream: Sequence[str]) -> Counter[str]:
    """Component -> its largest number of mentions in one sentence."""
    most: Counter[str] = Counter()
    in_sentence: Counter[str] = Counter()
    names = dict(names_in(stream))
    for place, token in enumerate(stream):
        if token == END:
            in_sentence.clear()
        elif place in names:
            name = names[place].lower()
            in_sentence[name] += 1
            most[name] = max(most[name], in_sentence[name])
    return most


def _tandem(stream: Sequence[str]) -> tuple[int, str]:
    """The largest number of immediate repetitions of a block of words, and the block."""
    import numpy

    words = [token for token in stream if token == CELL or token not in BREAKS]
    if not words:
        return 0, ""
    numbers: dict[str, int] = {}
    # The edge of a table cell equals nothing, because columns may legitimately repeat.
    codes = numpy.array(
        [
            -1 - place if word == CELL else numbers.setdefault(word, len(numbers))
            for place, word in enumerate(words)
        ]
    )
    best = (1, "")
    for size in range(1, min(LONGEST_BLOCK, len(codes) // 2) + 1):
        # A block of this size is repeated where the text equals itself shifted by the size.
        differ = numpy.flatnonzero(codes[size:] != codes[:-size])
        edges = numpy.concatenate(([-1], differ, [len(codes) - size]))
        runs = numpy.diff(edges) - 1
        longest = int(runs.argmax())
        block = _text(words[edges[longest] + 1 : edges[longest] + 1 + size])
        count = 1 + int(runs[longest]) // size
        if count > best[0] and block:
            best = (count, block)
    return best


# --------------------------------------------------------------------------- truncation

_CLOSERS = " \t\r\n*_`~\"')]}>\u2019\u201d"
_FINAL = ".!?\u2026\u3002\uff01\uff1f"
_HANGING = ",;:([{-/\u2013\u2014&"
_LEADING_ON = frozenset(
    (
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "is",
        "its",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "this",
        "to",
        "was",
        "which",
        "with",
    )
)


def ends_in_mid_sentence(text: str) -> bool:
    """Whether the last line stops where no sentence, list item, heading or name ends.

    A last line without a full stop counts as complete if it is an item, a heading or a line of a
    table, if it has one or two words, or if each of its words starts with a capital letter or a
    digit. It is incomplete if it ends with a comma, an opening bracket, unclosed emphasis or a word
    that leads on to another.
    """
    if text.rstrip().rpartition("\n")[2].count("**") % 2:
        return True
    last_line = text.rstrip(_CLOSERS).rpartition("\n")[2].rstrip()
    if not last_line or last_line[-1] in _FINAL:
        return False
    words = re.findall(r"[^\W_]+", last_line)
    if last_line[-1] in _HANGING or (words and words[-1].casefold() in _LEADING_ON):
        return True
    if len(words) <= 2 or MARKER.match(last_line) or last_line.lstrip().startswith("|"):
        return False
    return any(word[0].islower() for word in words if word.casefold() not in _LEADING_ON)
