"""Every form of a document says the same, and no text in it acts."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from qualification.core.paths import published_claims
from qualification.documents.context import Context
from qualification.documents.model import (
    Code,
    Document,
    Figure,
    Items,
    Line,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
    columns,
    inline,
)
from qualification.documents.published.document import published_document
from qualification.documents.render import render, schema, screen, summary, to_json_text
from qualification.documents.session_documents import session_documents
from qualification.models.loading import load_registry
from qualification.models.published_documents import read_published
from tests.documents.sample_documents import session
from tests.support.session_sample import HOSTILE

SCHEMA = Path(__file__).parents[2] / "docs/document.schema.json"
texts = st.text(max_size=60) | st.sampled_from(
    [
        HOSTILE,
        "\x1b[2J",
        "\ud800",
        "\u202eabc",
        "```\n# x",
        "</script>",
        "{{ 7 * 7 }}",
        "a|b",
        "&lt;",
    ]
)


@pytest.fixture(scope="module")
def documents():
    registry = load_registry()
    context = Context(None, {}, read_published(published_claims()))
    return [
        *session_documents(session(), registry, context),
        published_document(published_claims(), registry),
    ]


def with_text(text):
    """A document that has a text everywhere."""
    figure = Figure(1.0, "s", "projected", 3, "median", 0.5, 2.0, text)
    cell = inline(text, Span(text, "code"), Span(text, "quoted"), Span(text, figure=figure))
    blocks = (
        Paragraph(cell),
        Items((cell, cell)),
        Table(text, columns("a", "b"), ((cell, cell),)),
        Code(text, "sh"),
        Picture(text, "data:image/png;base64,"),
    )
    sections = (Section("one", text, blocks), Section("two", text, blocks, is_folded=True))
    lines = (Line("run", cell),)
    return Document("x", text, cell, lines, blocks[:3], sections, (cell,))


class Elements(HTMLParser):
    """The elements with their attributes' names, but for the key that a number is sorted by."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs if name != "data-sort")))


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_text_makes_no_element(text):
    """In HTML the same elements stand as without it; nothing that does not print is left."""
    page = render(with_text(text))["x.html"]
    assert Elements(page).elements == Elements(render(with_text("a"))["x.html"]).elements
    assert all(c.isprintable() or c in "\n\t" for c in page)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_a_text_makes_no_markup_in_markdown(text):
    """No tag, no link, no row, no heading of its own; a fence holds what it may say."""
    markdown = render(with_text(text))["x.md"]
    outside = re.sub(r"(?ms)^(`{3,}).*?^\1$", "", markdown)
    outside = re.sub(r"\\[!-/:-@\[-`{-~]|`[^`\n]*`", "x", outside)  # what is escaped, and code
    ours = r'</?details( id="\w+")?>|</?summary>|</?strong>|<a id="\w+"></a>'
    assert "<" not in re.sub(ours, "", outside)
    assert not re.search(r"(?<!\\)\]\(", outside)
    assert len(re.findall(r"(?m)^\|", outside)) == len(
        re.findall(r"(?m)^\|", render(with_text("a"))["x.md"])
    )
    assert len(re.findall(r"(?m)^(> |- )?#", outside)) == 2
    assert not re.search(r"(?m)^(> |- )?(\d+[.)](\s|$)|[+=])", outside)


@settings(max_examples=60, deadline=None)
@given(texts)
def test_json_has_every_text_whole(text):
    """But for what no text can hold; and it is read back as the same document."""
    document = with_text(text)
    read = TypeAdapter(Document).validate_json(to_json_text(document))
    if "\ud800" not in text and text.encode("utf-8", "replace").decode() == text:
        assert read == document


def test_documents_are_read_back_from_their_json(documents):
    """All of them."""
    for document in documents:
        assert TypeAdapter(Document).validate_json(to_json_text(document)) == document


def essence(part):
    """A schema without what differs between releases of pydantic and says the same."""
    if isinstance(part, list):
        return [essence(entry) for entry in part]
    if not isinstance(part, dict):
        return part
    said_twice = {"description"} | ({"enum"} if "const" in part else set())
    return {key: essence(value) for key, value in part.items() if key not in said_twice}


def test_the_published_schema_is_that_of_this_release():
    """``python -m tests.documents.test_render`` writes it."""
    assert essence(json.loads(SCHEMA.read_text(encoding="utf-8"))) == essence(schema())


def test_anchors_are_unique_and_every_link_leads_somewhere(documents):
    """Within each document, as HTML and as Markdown."""
    for document in documents:
        anchors = [section.anchor for section in document.sections]
        assert len(anchors) == len({*anchors})
        page = render(document)[f"{document.name}.html"]
        ids = set(re.findall(r' id="([^"]+)"', page))
        assert set(re.findall(r'href="#([^"]+)"', page)) <= ids
        markdown = render(document)[f"{document.name}.md"]
        targets = set(re.findall(r"(?<!\\)\]\(#([^)]+)\)", markdown))
        assert targets <= set(re.findall(r'<(?:a|details) id="([^"]+)"', markdown))


def test_links_to_the_documentation_lead_to_its_pages(documents):
    """And to a heading there, where one is named."""
    docs = SCHEMA.parent
    for document in documents:
        page = render(document, docs="DOCS/")[f"{document.name}.html"]
        for name in re.findall(r'href="DOCS/([^"#]+)', page):
            assert (docs / name).is_file()
        assert "DOCS" not in render(document)[f"{document.name}.html"]


def test_a_figure_lies_within_its_own_values(documents):
    """And is a number: what contradicts its runs is not rendered."""
    for document in documents:
        for value, least, most in re.findall(
            r'"value": ([^,]+), .{0,80}?"least": ([^,]+), "most": ([^,]+)', to_json_text(document)
        ):
            if least != "null":
                assert float(least) <= float(value) <= float(most)


def test_a_link_to_what_a_document_has_not_is_none():
    """Nor are the words that are only a link."""
    content = inline("text", Span(" more", link="#nowhere"), Span("name", "code", link="#nowhere"))
    forms = render(Document("x", "x", content, (), (), (), ()))
    assert "more" not in forms["x.md"]
    assert "text`name`" in forms["x.md"]
    assert "nowhere" not in forms["x.html"]


@pytest.mark.parametrize(
    ("texts_in_order"),
    [
        ("9%", "72%", "100%"),
        ("900 MB", "8.00 GB", "17.6 GB"),
        ("85.0 ms", "1.20 s"),
        ("-3.00", "1,235"),
    ],
)
def test_a_column_of_numbers_is_sorted_by_them(texts_in_order):
    """Whatever their units; a range by its lower end."""
    rows = tuple((inline(text),) for text in texts_in_order)
    table = Table("x", columns("x", numeric=("x",)), rows)
    page = render(Document("x", "x", (), (), (table,), (), ()))["x.html"]
    keys = [float(key) for key in re.findall(r'<td data-sort="([^"]+)"', page)]
    assert len(keys) == len(rows)
    assert keys == sorted(keys)


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_first_screen_fits_the_terminal(documents, width):
    """A word that is longer than a line aside."""
    for document in documents:
        for line in screen(document, width):
            assert len(line) <= width or max(map(len, line.split())) > width - 12


def test_the_page_of_a_job_has_the_first_screen_alone(documents):
    """No evidence."""
    text = summary(documents[0])
    assert "**run**" in text
    assert "<details" not in text


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
