"""Documents as a reader sees them, in Chromium; ``make test-browser`` brings what they need."""

from __future__ import annotations

import pytest

from tests.support.browser import DESKTOP, PAPER, PHONE, TABLET, chromium, opened

pytestmark = pytest.mark.long

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
DARK = "@media (prefers-color-scheme: dark) { body { color: #eee; background: #111 } }"
LONG = "x" * 40
HEAD = "<thead><tr><th>Model<th>Accuracy<th>Rate</thead>"
ROW = f"<tbody><tr><td>{LONG}<td>{LONG}<td>{LONG}</tbody>"
TABLE = f"<table>{HEAD}{ROW}</table>"


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def page(body, style="", policy=POLICY):
    """A document that is sound but for what is in ``body`` and ``style``."""
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<style>{DARK} {style}</style></head>
<body><main><h1>Heading</h1>{body}</main></body></html>"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("scripts", [False, True])
@pytest.mark.parametrize("size", [DESKTOP, TABLET, PHONE])
def test_a_sound_page_has_no_fault(browser, size, scripts, dark):
    table = "<table><tr><th>Model<th>Rate<tr><td>a<td>2</table>"
    sound = page(f"<p>Text.</p>{table}<details><summary>More</summary>{table}</details>")
    with opened(browser, sound, size=size, scripts=scripts, dark=dark) as document:
        assert document.serious() == []
        assert document.overflow() == 0
        assert document.hidden_columns() == []
        assert document.requests == document.errors == []


@pytest.mark.parametrize("scripts", [False, True])
def test_a_picture_without_its_text_is_serious_even_when_it_is_folded(browser, scripts):
    picture = (
        '<details><summary>More</summary><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
    )
    with opened(browser, page(picture), scripts=scripts) as document:
        (violation,) = document.serious()
        assert (violation.rule, violation.target) == ("image-alt", "img")
        assert "alt attribute" in violation.summary


def test_low_contrast_is_serious_in_the_scheme_that_has_it(browser):
    """Light grey on white; in the dark scheme it is read well."""
    pale = page("<p>Pale</p>", "p { color: #ccc }")
    with opened(browser, pale) as document:
        assert [violation.rule for violation in document.serious()] == ["color-contrast"]
    with opened(browser, pale, dark=True) as document:
        assert document.serious() == []


@pytest.mark.parametrize("policy", [POLICY, "default-src * 'unsafe-inline'"])
def test_what_a_page_asks_for_is_remembered_and_not_fetched(browser, policy):
    """Whether or not the page's own policy refuses it."""
    address = "http://pictures.invalid/a.png"
    with opened(browser, page(f'<img alt="" src="{address}">', policy=policy)) as document:
        assert document.requests == [address]
        assert len(document.errors) == 1


def test_a_script_that_the_policy_refuses_is_an_error_and_axe_still_runs(browser):
    with opened(browser, page("<script>document.title = 'ran'</script>")) as document:
        assert document.serious() == []
        assert document.page.title() == "A page"
        (error,) = document.errors
        assert "inline script" in error
        assert "Content Security Policy" in error


def test_a_script_that_fails_is_an_error_and_without_scripts_none_runs(browser):
    failing = page("<script>missing()</script>", policy="script-src 'unsafe-inline'")
    with opened(browser, failing) as document:
        assert document.errors == ["missing is not defined"]
    with opened(browser, failing, scripts=False) as document:
        assert document.errors == []


def test_a_table_wider_than_the_page_is_overflow_and_its_last_columns_are_hidden(browser):
    wide = page(f"<details><summary>More</summary>{TABLE}</details>")
    with opened(browser, wide, size=PHONE) as document:
        assert document.overflow() > 100
        assert document.hidden_columns() == [
            "table 1, Accuracy: outside of the page",
            "table 1, Rate: outside of the page",
        ]
    with opened(browser, wide) as document:
        assert document.overflow() == 0
        assert document.hidden_columns() == []


FRAME = "div { overflow-x: auto }"


@pytest.mark.parametrize(
    ("frame", "style", "reason"),
    [
        ('<div tabindex="0">', FRAME, ""),
        ("<div>", FRAME, "clipped by <div>"),
        ('<div tabindex="0">', "div { overflow: hidden }", "clipped by <div>"),
        ("<div>", "table { table-layout: fixed; width: 100% } td { overflow: hidden }", "by <td>"),
        ("<div>", "body { overflow-x: hidden }", "clipped by <body>"),
        ("<div>", "td, th { font-size: 0 }", "without a size"),
        ("<div>", "td, th { visibility: hidden }", "invisible"),
        ("<div>", "td, th { display: none }", "invisible"),
    ],
)
def test_a_column_is_kept_only_where_a_reader_can_reach_it(browser, frame, style, reason):
    """In a frame that scrolls and takes the focus."""
    with opened(browser, page(f"{frame}{TABLE}</div>", style), size=PHONE) as document:
        hidden = document.hidden_columns()
        assert all(reason in column for column in hidden)
        assert bool(hidden) == bool(reason)


def test_an_ellipsis_within_a_cell_hides_its_column(browser):
    style = "p { width: 3em; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }"
    with opened(browser, page("<table><tr><td><p>a long text</table>", style)) as document:
        assert document.hidden_columns() == ["table 1, a long text: cut within its cell"]


@pytest.mark.parametrize("label", ["", "td::before { content: attr(data-label) }"])
def test_cells_that_are_stacked_keep_their_header_by_their_labels(browser, label):
    row = "<tbody><tr><td data-label='Model'>a<td data-label='Rate'>2</tbody>"
    table = f"<table><thead><tr><th>Model<th>Rate</thead>{row}</table>"
    style = f"thead {{ display: none }} td {{ display: block }} {label}"
    with opened(browser, page(table, style), size=PHONE) as document:
        lost = [] if label else ["table 1, Model: invisible", "table 1, Rate: invisible"]
        assert document.hidden_columns() == lost


def test_on_paper_no_frame_scrolls(browser):
    framed = page(f'<div tabindex="0">{TABLE}</div>', FRAME)
    with opened(browser, framed, size=PAPER) as document:
        assert document.hidden_columns() == []
    with opened(browser, framed, paper=True) as document:
        assert document.hidden_columns() != []


@pytest.mark.parametrize("scripts", [False, True])
def test_print_styles_hold_on_paper_only(browser, scripts):
    """Also after axe has run."""
    table = "<table><tr><td>a<td>b</table>"
    hidden = page(table, "@media print { td:last-child { display: none } }")
    with opened(browser, hidden) as document:
        assert document.hidden_columns() == []
    with opened(browser, hidden, paper=True, scripts=scripts) as document:
        assert document.serious() == []
        assert document.hidden_columns() == ["table 1, b: invisible"]


def test_a_pdf_has_its_pages_and_says_how_far_it_was_shrunk(browser):
    two = page("<p>first</p><p style='break-before: page'>second</p>")
    with opened(browser, two) as document:
        printed = document.pdf()
        assert printed.content.startswith(b"%PDF")
        assert ["first" in text for text in printed.pages] == [True, False]
        assert ["second" in text for text in printed.pages] == [False, True]
        assert printed.scale == 1
    with opened(browser, page("<p>wide</p>", f"p {{ width: {PAPER[0] * 1.5}px }}")) as document:
        assert document.pdf().scale == pytest.approx(1 / 1.5, abs=0.02)


def test_the_height_is_that_of_the_folded_page_and_the_page_is_left_as_it_was(browser):
    tall = page("<details open><summary>More</summary><div style='height: 9000px'></div></details>")
    with opened(browser, tall) as document:
        assert document.height_in_screens() == 1
        assert document.page.locator("details").get_attribute("open") == ""
    with opened(browser, page("<div style='height: 1700px'></div>")) as document:
        assert 1.9 < document.height_in_screens() < 2.1


def test_the_first_screen_has_the_words_that_are_whole_above_the_fold(browser):
    """Neither what is folded, invisible or out of a frame, nor what is below."""
    body = """<p>seen <b>bold</b>ly <span style="visibility: hidden">never</span></p>
<details open><summary>more</summary><p>folded</p></details><script>code()</script>
<p style="position: absolute; top: 890px">cut</p><p style="margin-top: 900px">below</p>
<div tabindex="0" style="width: 4em; overflow: auto; white-space: nowrap">near far-away</div>"""
    with opened(browser, page(body)) as document:
        assert document.text_above(900) == "Heading\nseen boldly\nmore"
        assert "below" in document.text_above(3000)
        assert "near" in document.text_above(3000)
        assert "far" not in document.text_above(3000)


def test_a_screenshot_shows_the_window(browser, tmp_path):
    from PIL import Image

    with opened(browser, page(TABLE), size=PHONE) as document:
        document.screenshot(tmp_path / "page.png")
    assert Image.open(tmp_path / "page.png").size == PHONE
