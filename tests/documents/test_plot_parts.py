"""What plots are made of: short names, free places, round ticks and colours that can be read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.paths import PACKAGE
from qualification.documents.plots import palette
from qualification.documents.plots.names import clipped, fitted, width_of
from qualification.documents.plots.placement import Box, Spot, place
from qualification.documents.plots.scales import Scale, scale_of, tick_text

CSS = (PACKAGE / "documents/assets/document.css").read_text(encoding="utf-8")


@given(st.text(max_size=200), st.integers(10, 40))
def test_a_name_is_one_printable_line_of_few_columns(name, columns):
    line = clipped(name, columns)
    assert line
    assert line.isprintable()
    assert len(line) <= columns


def test_a_long_name_keeps_its_backend():
    assert clipped("a" * 100 + "@llamacpp") == "a" * 30 + "…@llamacpp"
    assert clipped("a" * 50 + "b" * 50) == "a" * 26 + "…" + "b" * 13


@given(st.text(max_size=80), st.floats(40, 400))
def test_a_fitted_name_is_no_wider_than_its_room(name, room):
    assert width_of(fitted(name, room, 12.0), 12.0) <= room


def test_labels_hide_nothing_where_there_is_room():
    spots = [Spot(x, y, 8.0, y - 20, y + 20) for x, y in ((100, 60), (130, 70), (300, 90))]
    boxes, hidden = place(spots, [(60.0, 12.0)] * 3, [], Box(0, 0, 400, 200))
    assert hidden == 0
    obstacles = [box for spot in spots for box in spot.boxes()]
    for number, box in enumerate(boxes):
        assert not any(box.overlap(obstacle) for obstacle in obstacles + boxes[:number])


positive = st.floats(1e-6, 1e15)


@given(st.lists(positive, min_size=1, max_size=8))
def test_a_scale_keeps_the_order_and_the_frame(values):
    scale = scale_of(values, 10.0, 450.0)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(10.0 <= spot <= 450.0 for spot in places)
    assert 0 < len(scale.ticks()) <= 9
    assert all(10.0 <= spot <= 450.0 for spot, _ in scale.ticks())


def test_a_scale_puts_what_is_beyond_it_at_its_ends():
    scale = Scale(1.0, 2.0, 0.0, 100.0)
    assert [scale(value) for value in (-5.0, 1.5, 9.0)] == [0.0, 50.0, 100.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (20.0, "20"), (0.25, "0.25"), (-2.5, "−2.5"), (1500.0, "1,500"), (1e12, "1e+12")],
)
def test_a_tick_is_short(value, text):
    assert tick_text(value) == text


# --------------------------------------------------------------------------- colours


def luminance(colour):
    channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(colour, paper):
    high, low = sorted((luminance(colour), luminance(paper)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def page_colours():
    """Of the page's own sheet: light, dark."""
    blocks = re.findall(r":root \{([^}]*)\}", CSS)[:2]
    pages = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block)) for block in blocks]
    return [
        {
            name: colour if len(colour) == 7 else "#" + "".join(c * 2 for c in colour[1:])
            for name, colour in page.items()
        }
        for page in pages
    ]


def test_a_page_has_every_colour_light_and_dark():
    for page in page_colours():
        assert set(palette.LIGHT) <= set(page)


def test_text_can_be_read_on_light_and_on_dark_paper():
    for page in (palette.LIGHT, *page_colours()):
        for name in palette.TEXT:
            assert contrast(page[name], page["paper"]) >= 4.5, name


def test_bars_can_be_told_from_the_paper():
    for name in ("accent", *(f"part-{number}" for number in range(1, 5))):
        assert contrast(palette.LIGHT[name], palette.LIGHT["paper"]) >= 3, name
