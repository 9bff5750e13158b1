"""matplotlib's SVG made small and safe, to stand in a page among others.

Only paths and texts are taken over, with no identifier, reference, script or sheet of styles.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from qualification.documents.plots.drawing import Text
from qualification.documents.plots.names import is_plain, width_of
from qualification.documents.plots.palette import INK, PAPER, variable

SIZE = 11.0
"""Of text, where nothing else is said."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_INITIAL = (
    *("", "stroke-linejoin: miter", "stroke-linecap: butt"),
    *("stroke-dashoffset: 0", "stroke-width: 1"),
)
"""What holds where nothing is said."""


def compact(drawn: str, texts: Mapping[int, Text], box: tuple[float, float], label: str) -> str:
    """The final SVG: ``texts`` by their numbers, the size of the drawing, and what it shows.

    ValueError where matplotlib drew something else than paths and texts.
    """
    root = ElementTree.fromstring(drawn)  # noqa: S314 (our own; it has no text of others)
    groups = itertools.groupby(_elements(root, texts), key=lambda element: element[:2])
    parts = "".join(
        _group(tag, looks, [own for *_, own in group]) for (tag, looks), group in groups
    )
    width, height = (_short(str(side)) for side in box)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label={_attribute(label)} font-family="system-ui,sans-serif"'
        f' font-size="{SIZE:g}" style="fill:{variable(INK)}">{parts}</svg>'
    )


def _group(tag: str, looks: str, elements: list[str]) -> str:
    """Elements of one look say it once."""
    if len(elements) == 1 or not looks:
        return "".join(f"<{tag}{looks}{own}" for own in elements)
    return f"<g{looks}>{''.join(f'<{tag}{own}' for own in elements)}</g>"


def _elements(
    root: ElementTree.Element, texts: Mapping[int, Text]
) -> Iterator[tuple[str, str, str]]:
    """Tag, what it looks like as attributes, and the end of the element with its own."""
    figure = next(e for e in root if e.get("id") == "figure_1")
    for element in figure.iter():
        tag = element.tag.rpartition("}")[2]
        if tag == "path":
            yield "path", f' style="{_style(element)}"', f' d="{_path(element.get("d", ""))}"/>'
        elif tag == "text":
            text = texts[int((element.text or "").removeprefix("t"))]
            yield "text", _looks(text), _text(element, text)
        elif tag != "g":
            raise ValueError(f"matplotlib drew <{tag}>: only paths and texts are expected")


def _path(d: str) -> str:
    """Rounded, and without a blank or a letter that says nothing."""
    words = _NUMBER.sub(lambda match: _short(match[0]), d).split()
    text, before = "", ""
    for word in words:
        if word.isalpha():
            text, before = (text, before) if word == before == "L" else (text + word, word)
        else:
            text += word if not text or text[-1].isalpha() or word[0] == "-" else f" {word}"
    return text


def _style(element: ElementTree.Element) -> str:
    rules = (rule.strip() for rule in element.get("style", "").split(";"))
    style = ";".join(rule.replace(": ", ":") for rule in rules if rule not in _INITIAL)
    return _COLOUR.sub(lambda match: variable(match[0]), style)


def _looks(text: Text) -> str:
    attributes = ""
    if text.anchor != "left":
        attributes += f' text-anchor="{"end" if text.anchor == "right" else "middle"}"'
    if text.size != SIZE:
        attributes += f' font-size="{text.size:g}"'
    if text.is_bold:
        attributes += ' font-weight="700"'
    rules = [f"fill:{variable(text.colour)}"] if text.colour != INK else []
    if text.has_halo:
        rules.append(f"paint-order:stroke;stroke:{variable(PAPER)};stroke-width:3")
    return f'{attributes} style="{";".join(rules)}"' if rules else attributes


def _text(element: ElementTree.Element, text: Text) -> str:
    attributes = f' x="{_short(element.get("x", ""))}" y="{_short(element.get("y", ""))}"'
    if not is_plain(text.text):  # a character may be many times as wide as it should be
        width = width_of(text.text, text.size)
        attributes += f' textLength="{width:.0f}" lengthAdjust="spacingAndGlyphs"'
    return f"{attributes}>{escape(text.text)}</text>"


def _attribute(text: str) -> str:
    return quoteattr(text, {'"': "&quot;"})


def _short(number: str) -> str:
    """With one decimal at most."""
    text = f"{float(number):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
