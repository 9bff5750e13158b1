"""Our own documents as a reader sees them, at every width, in both schemes and on paper."""

from dataclasses import replace

import pytest

from qualification.core.paths import published_claims
from qualification.documents.context import Context
from qualification.documents.published.document import published_document
from qualification.documents.render import render
from qualification.documents.session_documents import session_documents
from qualification.models.loading import load_registry
from qualification.models.published_documents import read_published
from qualification.upgrade.gate.document import gate_document
from tests.documents.air_sample import air
from tests.documents.sample_documents import session
from tests.documents.test_the_first_screen_answers import ANSWERS
from tests.support.browser import DESKTOP, PAPER, PHONE, TABLET, chromium, opened
from tests.support.gate_sample import regressed
from tests.support.session_sample import HOSTILE

pytestmark = pytest.mark.long

NAMES = (
    "recommendations",
    "reference-guide",
    "certificate",
    "gate",
    "published-claims",
    "canaries",
)
TRICKS = (
    "<script>document.title = 'x'</script><img src=https://example.org/x onerror=alert(1)>",
    "| a | b |\n|---|---|\n| c | d |\n\n# heading",
    "\x1b[31mred\x1b[0m\x07",
    "{{ 7 * 7 }} {% include '/etc/passwd' %} ${x} <%= y %>",
    "x" * 1_000_000,
    "\u202eright to left\u202c \u05d0\u05d1\u05d2 \u200f",
    "</td></tr></table></details></main>",
)
"""What a model may answer."""


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def of_canaries(registry):
    """Every canary that ships, with figures."""
    names = [d.identifier for d in registry.deployments() if d.source.weights == "canary"]
    return air({name: {"accuracy": 1.0} for name in names})


def pages(text="blue"):
    """Name -> HTML of every kind of document."""
    registry = load_registry()
    context = Context(None, {"mlx": "99.0"}, read_published(published_claims()))
    documents = [
        *session_documents(session(text), registry, context),
        gate_document(regressed(text)),
        published_document(published_claims(), registry),
        replace(session_documents(of_canaries(registry), registry, Context())[0], name="canaries"),
    ]
    return {document.name: render(document)[f"{document.name}.html"] for document in documents}


@pytest.fixture(scope="module")
def usual():
    return pages()


SIZES = {"wide": DESKTOP, "middle": TABLET, "phone": PHONE}
SCREENS = [
    *[(name, size, dark) for name in NAMES[:1] for size in SIZES for dark in (False, True)],
    *[(name, size, size == "middle") for name in NAMES[1:] for size in SIZES],
]


@pytest.mark.parametrize(("name", "size", "dark"), SCREENS)
def test_no_fault_on_a_screen(browser, usual, name, size, dark):
    """Axe finds nothing serious, nothing scrolls sideways, no column is lost, nothing is asked."""
    with opened(browser, usual[name], size=SIZES[size], dark=dark) as document:
        assert document.serious() == []
        assert document.overflow() == 0
        assert document.hidden_columns() == []
        assert document.requests == document.errors == []


@pytest.mark.parametrize("name", NAMES)
def test_no_column_is_lost_on_paper(browser, usual, name):
    """Nor is the page shrunk to fit."""
    with opened(browser, usual[name], size=PAPER, paper=True) as document:
        assert document.serious() == []
        assert document.hidden_columns() == []
        assert document.pdf().scale == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_script_is_needed_to_read(browser, usual, name):
    """Every table and every line is there; sorting and filtering are not."""
    with opened(browser, usual[name], scripts=False) as document:
        assert document.hidden_columns() == []
        assert document.page.locator("main").inner_text()


def test_a_certificate_is_one_page(browser, usual):
    """On A4."""
    with opened(browser, usual["certificate"], size=PAPER, paper=True) as document:
        assert len(document.pdf().pages) == 1


def test_the_first_screen_answers_what_a_newcomer_asks(browser, usual):
    """All of it is seen without scrolling, and a plot."""
    with opened(browser, usual["recommendations"], size=DESKTOP) as document:
        seen_text = " ".join(document.text_above(900).split())
        for _, answer in ANSWERS.values():
            assert answer in seen_text
        assert "decoding speed, tok/s" in seen_text


@pytest.mark.parametrize("name", ["recommendations", "canaries"])
def test_lengths(browser, usual, name):
    """300 KB; eight screens with what is folded closed."""
    assert len(usual[name].encode()) <= 300_000
    with opened(browser, usual[name], size=DESKTOP) as document:
        assert document.height_in_screens() <= 8


def test_a_click_sorts_by_the_number_and_a_word_filters_the_rows(browser, usual):
    """Whatever its unit: 9.10 comes before 60.0."""
    with opened(browser, usual["canaries"]) as document:
        field = document.page.get_by_label("Filter the rows of: Medians", exact=False)
        field.fill("llava mlx")
        rows = document.page.locator("#comparison ~ .scroll tbody tr:visible")
        assert 0 < rows.count() < 12
        assert all("llava" in row and "mlx" in row for row in rows.all_inner_texts())
    with opened(browser, usual["recommendations"]) as document:
        head = document.page.locator("#comparison ~ .scroll th", has_text="tok/s")
        head.first.click()
        document.page.wait_for_timeout(200)
        speeds = document.page.locator("#comparison ~ .scroll tbody tr td:nth-child(6)")
        values = [float(text) for text in speeds.all_inner_texts()]
        assert values in (sorted(values), sorted(values, reverse=True))


@pytest.mark.parametrize("text", [HOSTILE, *TRICKS], ids=range(len(TRICKS) + 1))
def test_what_a_model_says_changes_nothing_but_its_own_cell(browser, usual, text):
    """The same elements, no request, no error; the page is as wide as before."""
    structure = "() => [...document.querySelectorAll('body *')].map(e => e.tagName).join(' ')"
    hostile = pages(text)
    for name in ("recommendations", "gate"):
        with opened(browser, usual[name]) as document:
            expected = document.page.evaluate(structure)
        with opened(browser, hostile[name], size=PHONE) as document:
            assert document.page.evaluate(structure) == expected
            assert document.requests == document.errors == []
            assert document.overflow() == 0
        assert len(hostile[name]) < len(usual[name]) + 40_000
