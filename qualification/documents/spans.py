"""Spans as HTML and as Markdown. Whatever the text, it stays text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from qualification.core.format import quantity_text
from qualification.core.text import disarm
from qualification.documents.model import Figure, Inline, Origin, Span
from qualification.results.markdown import code, plain

LONGEST = 600
"""Characters of one piece of text."""

MARKS: dict[Origin, tuple[str, str, str]] = {
    "measured": ("", "", ""),
    "canary": ("", "ᶜ", "of a canary: a tiny trained model, not the real one"),
    "synthetic": ("", "ˢ", "of random weights at the real size"),
    "projected": ("~", "", "projected from another machine, not measured here"),
    "predicted": ("≈", "", "predicted, not measured"),
    "published": ("“", "”", "published elsewhere, not measured here"),
    "declared": ("", "ᵈ", "declared"),
}
"""Origin -> what stands before and behind a number, and what that means."""

_TAGS = {
    "code": Markup("<code>{}</code>"),
    "strong": Markup("<strong>{}</strong>"),
    "quoted": Markup('<bdi class="quoted">{}</bdi>'),
    "quiet": Markup('<span class="quiet">{}</span>'),
    "plain": Markup("{}"),
}


@dataclass(frozen=True)
class Writer:
    """``docs`` is the address of docs/, '' for none; ``unmarked`` is the origin that is said once.

    ``source`` is what the footnote names: it is not repeated at each number. ``anchors`` are those
    of the document (``#why``): a link to any other leads nowhere, and is none.
    """

    docs: str
    unmarked: str
    source: str = ""
    anchors: frozenset[str] = frozenset()

    def html(self, content: Inline) -> Markup:
        """As HTML."""
        return Markup("").join(self._linked(span, self._html(span)) for span in self._led(content))

    def markdown(self, content: Inline) -> str:
        """As one line of Markdown, also within a table."""
        return "".join(self._markdown(span) for span in self._led(content))

    def block(self, content: Inline) -> str:
        """As a paragraph of Markdown, or the text of a point: it begins no heading and no list."""
        marker = r"^(\s*)([#+=-])|^(\s*\d+)([.)])(?=\s|$)"
        return re.sub(marker, r"\1\3\\\2\4", self.markdown(content))

    def _led(self, content: Inline) -> Inline:
        """Without words that are only a link, to what this document has not."""
        return tuple(s for s in content if not s.is_only_a_link or s.link in self.anchors)

    def _text(self, span: Span) -> str:
        if span.figure is None or span.figure.origin == self.unmarked:
            return span.text
        before, after, _ = MARKS[span.figure.origin]
        return f"{before}{span.text}{after}"

    def _html(self, span: Span) -> Markup:
        text = escape(disarm(self._text(span), LONGEST))
        if span.style == "word":
            return Markup('<span class="word {}">{}</span>').format(span.tone, text)
        if span.figure is None or span.style != "plain":
            return _TAGS[span.style].format(text)
        kind = "" if span.figure.origin in ("measured", self.unmarked) else span.figure.origin
        title = self.evidence(span.figure)
        if not kind and not title:
            return text
        return Markup('<span class="figure {}" title="{}">{}</span>').format(kind, title, text)

    def _linked(self, span: Span, markup: Markup) -> Markup:
        address = self.address(span.link)
        return Markup('<a href="{}">{}</a>').format(address, markup) if address else markup

    def address(self, link: str) -> str:
        """Where a link leads from this document; '' for one that leads nowhere."""
        if link.startswith("docs/"):
            return f"{self.docs}{link.removeprefix('docs/')}" if self.docs else ""
        if link.startswith("#"):
            return link if link in self.anchors else ""
        return link if re.match("https://[^\\s\"'<>()]+$", link) else ""

    def _markdown(self, span: Span) -> str:
        text = self._text(span)
        before = " " if text[:1].isspace() else ""
        after = " " if text[-1:].isspace() else ""  # spans follow each other
        markup = f"`{code_text(text)}`" if span.style == "code" else plain(text)
        if not markup:
            return before
        if span.style in ("strong", "word"):
            markup = f"**{markup}**"
        if address := self.address(span.link):
            markup = f"[{markup}]({address})"
        return f"{before}{markup}{after}"

    def evidence(self, figure: Figure) -> str:
        """``median of 3, 94.6 to 96.3 tok/s``: what stands behind a number; '' for one value."""
        words = []
        if figure.count > 1:
            words.append(f"{figure.statistic} of {figure.count}")
            if figure.least is not None and figure.most is not None:
                low, high = (quantity_text(v, figure.unit) for v in (figure.least, figure.most))
                words.append(f"{low} to {high}")
        if figure.origin != self.unmarked and MARKS[figure.origin][2]:
            words.append(MARKS[figure.origin][2])
        if figure.source and figure.source != self.source:
            words.append(figure.source)
        return disarm(", ".join(words), LONGEST)


def legend(origins: Mapping[Origin, None], unmarked: str) -> list[str]:
    """What each mark means that a document has."""
    return [
        f"{''.join(MARKS[origin][:2])}: {MARKS[origin][2]}"
        for origin in MARKS
        if origin in origins and origin != unmarked and MARKS[origin][2]
    ]


def code_text(text: str) -> str:
    """For a code span, also within a table."""
    return code(disarm(text, LONGEST) if text.strip() else "–").replace("|", "\\|")
