"""The view model: a document as a tree of sections and blocks, from which every form is rendered.

Nothing here is markup. Texts of models and libraries go in as they are; each form disarms them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.text import one_line

Origin = Literal[
    "measured", "canary", "synthetic", "projected", "predicted", "published", "declared"
]
"""Where a number comes from; each looks different in print."""

Style = Literal["plain", "strong", "code", "word", "quoted", "quiet"]
"""``word``: a verdict, as a badge. ``quoted``: another's text, such as a model's answer."""

Tone = Literal["", "good", "bad", "open"]


@dataclass(frozen=True)
class Figure:
    """A number with its evidence: the median, or the most, of ``count`` values.

    ``unit`` is that of the metric (SI). ``source`` is the session or the document it is from.
    """

    value: float
    unit: str
    origin: Origin = "measured"
    count: int = 1
    statistic: Literal["median", "most"] = "median"
    least: float | None = None
    most: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Span:
    """A piece of text; ``link`` is an anchor (``#known-bugs``), a page of docs/ or an address."""

    text: str
    style: Style = "plain"
    tone: Tone = ""
    link: str = ""
    figure: Figure | None = None

    @property
    def is_only_a_link(self) -> bool:
        """Whether it says nothing where the rest of the document is not at hand."""
        return self.style == "plain" and self.link.startswith("#")


Inline = tuple[Span, ...]
"""Spans that follow each other."""


@dataclass(frozen=True)
class Column:
    """The head of a column; ``is_numeric``: aligned to the right, sorted as numbers."""

    title: str
    is_numeric: bool = False


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a ``note`` stands out."""

    content: Inline
    is_note: bool = False
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True)
class Items:
    """A list of points."""

    entries: tuple[Inline, ...]
    kind: Literal["items"] = "items"


@dataclass(frozen=True)
class Table:
    """A row has a cell for each column. ``caption`` says what it is, for who cannot see it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Inline, ...], ...]
    kind: Literal["table"] = "table"


@dataclass(frozen=True)
class Code:
    """Lines that can be copied; ``language`` is ``sh``, ``python`` or ''."""

    text: str
    language: str = ""
    kind: Literal["code"] = "code"


@dataclass(frozen=True)
class Plot:
    """A plot as SVG that we drew; ``alternative`` says in words what it shows."""

    title: str
    alternative: str
    svg: str
    kind: Literal["plot"] = "plot"


@dataclass(frozen=True)
class Picture:
    """An image that was asked about, as a ``data:`` address."""

    alternative: str
    address: str
    kind: Literal["picture"] = "picture"


Block = Paragraph | Items | Table | Code | Plot | Picture


@dataclass(frozen=True)
class Section:
    """``anchor`` is unique in its document; ``is_folded``: evidence, closed at first."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    is_folded: bool = False


@dataclass(frozen=True)
class Line:
    """A line of the first screen: a word and what follows it."""

    word: str
    content: Inline

    @property
    def text(self) -> str:
        """What follows the word, as one harmless line without what is only a link."""
        spoken = tuple(span for span in self.content if not span.is_only_a_link)
        return one_line(plain_text(spoken), 1_000).rstrip(" ·:")


@dataclass(frozen=True)
class Document:
    """A whole document. ``lines`` and ``overview`` (a plot, or a grid) are its first screen.

    ``evidence`` is the footnote: session, machine, date, environment.
    """

    name: str
    title: str
    subject: Inline
    lines: tuple[Line, ...]
    overview: tuple[Block, ...]
    sections: tuple[Section, ...]
    evidence: tuple[Inline, ...]
    session: str = ""
    """The stored session that it follows from; '' for what no session is needed."""
    reported: str = ""
    """The session of the report that it replaces; '' where none of another session was there."""
    said_once: Origin | Literal[""] = ""
    """The origin of which all its own figures are, where a note says so: they are not marked."""
    schema_version: Literal[1] = 1


def inline(*parts: str | Span) -> Inline:
    """Spans of strings and spans."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def code(text: str, link: str = "") -> Span:
    """A name or a command."""
    return Span(text, "code", link=link)


def columns(*titles: str, numeric: Sequence[str] = ()) -> tuple[Column, ...]:
    """The heads of a table; those among ``numeric`` are numbers."""
    return tuple(Column(title, title in numeric) for title in titles)


def plain_text(content: Inline) -> str:
    """Only the words."""
    return "".join(span.text for span in content)
