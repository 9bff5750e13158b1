"""Hostile text in Markdown."""

from __future__ import annotations

import re

from qualification.core.text import one_line

_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~$])")


def plain(text: object) -> str:
    """Hostile text as one harmless line of Markdown: no markup, no HTML, no line breaks."""
    line = one_line(text, 600).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKDOWN.sub(r"\\\1", line)
    return line.replace("://", "&#58;//").replace("www.", "www&#46;")


def code(text: object) -> str:
    """Text for a code span of Markdown, which has no escapes: one line without backticks."""
    return " ".join(str(text).replace("`", "'").split()) or "everything"
