"""The colours of plots: CSS variables of the page, with fallbacks for where there is no page.

A plot is drawn in the light colours; each becomes ``var(--NAME, COLOUR)`` in the SVG.
"""

from __future__ import annotations

INK, QUIET, LINE, PAPER = "#1d2430", "#566072", "#d5dbe5", "#ffffff"
GOOD, BAD, OPEN, ACCENT = "#136f3a", "#a3211c", "#7a5200", "#0b4f9e"
PARTS = ("#7c8aa5", "#b08a3e", "#2f6fb0", "#5f9a6b")

LIGHT = {
    "ink": INK,
    "quiet": QUIET,
    "line": LINE,
    "paper": PAPER,
    "good": GOOD,
    "bad": BAD,
    "open": OPEN,
    "accent": ACCENT,
    **{f"part-{number}": colour for number, colour in enumerate(PARTS, 1)},
}
"""Variable -> its colour on a light page, the fallback."""

TEXT = ("ink", "quiet", "good", "bad", "open")
"""The variables that text is drawn in: at least 4.5:1 on paper."""

_VARIABLES = {colour: f"var(--{name},{colour})" for name, colour in LIGHT.items()}


def variable(colour: str) -> str:
    """The CSS of a colour of :data:`LIGHT`; KeyError for any other."""
    return _VARIABLES[colour]
