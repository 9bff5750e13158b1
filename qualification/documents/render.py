"""A document in all its forms: Markdown, one HTML file, JSON with its schema, and plain text.

Every text goes through here, so here it is disarmed: Jinja2 escapes it in HTML, ``plain`` in
Markdown. A text that is over :data:`LONGEST` is shortened everywhere but in JSON.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from qualification import __version__
from qualification.core.protocol import to_json
from qualification.core.text import disarm, one_line
from qualification.documents.model import (
    Block,
    Code,
    Document,
    Figure,
    Inline,
    Items,
    Paragraph,
    Picture,
    Plot,
    Table,
    plain_text,
)
from qualification.documents.spans import LONGEST, Writer, legend
from qualification.results.markdown import plain
from qualification.results.terminal import wrapped

FOLDER = Path(__file__).resolve().parent
TEMPLATES = FOLDER / "templates"


def render(document: Document, *, docs: str = "") -> dict[str, str]:
    """File name -> text of each form. ``docs`` is the address of docs/ from there, '' for none.

    Raises jinja2's errors for a broken template.
    """
    forms = {
        f"{document.name}.{form}": _environment(html=form == "html")
        .get_template(f"document.{form}.j2")
        .render(_context(document, docs))
        for form in ("md", "html")
    }
    return forms | {f"{document.name}.json": to_json_text(document)}


def summary(document: Document) -> str:
    """Its first screen as Markdown, for the page of a CI job."""
    short = dataclasses.replace(document, sections=())
    template = _environment(html=False).get_template("document.md.j2")
    return str(template.render(_context(short, "")))


def to_json_text(document: Document) -> str:
    """Everything, as :func:`schema` says."""
    text = json.dumps(to_json(document), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "replace").decode("utf-8") + "\n"  # a lone surrogate is no text


def schema() -> dict[str, Any]:
    """The JSON schema of a document."""
    return TypeAdapter(Document).json_schema()


def screen(document: Document, width: int) -> Iterator[str]:
    """The lines of its first screen, as plain text of so many columns that acts on no terminal."""
    yield from wrapped(one_line(f"{document.title}: {plain_text(document.subject)}", 1_000), width)
    for line in document.lines:
        yield from wrapped(f"{line.word.upper()}  {line.text}", width)
    for block in document.overview:
        if isinstance(block, Table):
            yield ""
            yield from _grid(block, width)


def _grid(table: Table, width: int) -> Iterator[str]:
    """A table of short cells in columns."""
    heads = tuple(column.title for column in table.columns)
    lines = [heads, *(tuple(one_line(plain_text(cell)) for cell in row) for row in table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        cells = (f"{cell:{size}}" for cell, size in zip(line, widths, strict=True))
        text = "  ".join(cells).rstrip()
        yield text if len(text) <= width else f"{text[: width - 1]}…"


def _context(document: Document, docs: str) -> dict[str, Any]:
    origins = {figure.origin: None for figure in _figures(document)}
    tables = [block for block in _blocks(document) if isinstance(block, Table)]
    sources = Counter(figure.source for figure in _figures(document))
    source = next((name for name, _ in sources.most_common(1)), "")
    return {
        "document": document,
        "writer": Writer(docs, document.said_once, source, _anchors(document)),
        "tables": tables,
        "numbers": {id(table): number for number, table in enumerate(tables)},
        "legend": legend(origins, document.said_once),
        "harness_version": __version__,
    }


def _anchors(document: Document) -> frozenset[str]:
    """Where its links within itself may lead."""
    return frozenset(f"#{section.anchor}" for section in document.sections)


def _blocks(document: Document) -> Iterator[Block]:
    yield from document.overview
    for section in document.sections:
        yield from section.blocks


def _figures(document: Document) -> Iterator[Figure]:
    contents = [line.content for line in document.lines]
    contents += [content for block in _blocks(document) for content in _contents(block)]
    for content in contents:
        yield from (span.figure for span in content if span.figure is not None)


def _contents(block: Block) -> Iterator[Inline]:
    if isinstance(block, Paragraph):
        yield block.content
    elif isinstance(block, Items):
        yield from block.entries
    elif isinstance(block, Table):
        yield from (cell for row in block.rows for cell in row)


@lru_cache(maxsize=2)
def _environment(*, html: bool) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=html,  # noqa: S701 - Markdown has an escape of its own, `plain`
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        plain=plain,
        short=lambda text: disarm(text, LONGEST),
        lines=disarm,
        sort_key=_sort_key,
        identity=id,
        numeric=lambda table: [n for n, c in enumerate(table.columns, 1) if c.is_numeric],
        css=_css_string,
    )
    style = "".join((FOLDER / "assets" / name).read_text("utf-8") for name in STYLES)
    script = "".join((FOLDER / "assets" / name).read_text("utf-8") for name in SCRIPTS)
    environment.globals.update(
        style=style, script=script, script_hash=_content_hash(script), fence=_fence
    )
    environment.tests.update(
        {
            kind.__name__.lower(): lambda block, kind=kind: isinstance(block, kind)
            for kind in (Paragraph, Items, Table, Code, Plot, Picture)
        }
    )
    return environment


STYLES = ("simple.min.css", "document.css")
SCRIPTS = ("sortable.min.js", "filter.js")


def _content_hash(script: str) -> str:
    """For the page's Content-Security-Policy: only this script runs."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _css_string(text: str) -> str:
    """Any text as a string of CSS, within a style element."""
    return "".join(c if c.isalnum() and c.isascii() else f"\\{ord(c):x} " for c in text[:80])


def _fence(text: str) -> str:
    """A fence that the text cannot close."""
    longest = max((len(run) for run in _runs_of_backticks(text)), default=0)
    return "`" * max(3, longest + 1)


def _runs_of_backticks(text: str) -> list[str]:
    return ["`" * len(run) for run in "".join(c if c == "`" else " " for c in text).split()]


def _sort_key(cell: Inline, is_numeric: bool) -> str:
    """What a cell is sorted by, where that is not its text."""
    value = next((span.figure.value for span in cell if span.figure), None)
    if value is None and is_numeric:
        value = _value(plain_text(cell))
    return "" if value is None or cell[0].text == f"{value:.3g}" else f"{value:.4g}"


_UNITS = {"GB": 1e9, "MB": 1e6, "KB": 1e3, "ms": 1e-3}
_NUMBER = re.compile(r"[^\d-]*(-?[\d,]+(?:\.\d+)?)\s*([A-Za-z]*)")


def _value(text: str) -> float | None:
    """``17.6 GB`` in bytes, ``1,235``, ``72%``; of a range its lower end; None for a dash."""
    match = _NUMBER.match(text)
    if match is None or not match[1].strip(",-"):
        return None
    return float(match[1].replace(",", "")) * _UNITS.get(match[2], 1.0)
