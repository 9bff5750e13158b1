"""Numbers for people: never an exception, never a wrong magnitude, one dash for no number."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core import format as formatting

FUNCTIONS = [
    formatting.number,
    formatting.count_text,
    formatting.bytes_text,
    formatting.seconds_text,
    formatting.rate_text,
    formatting.percent_text,
    formatting.change_text,
    formatting.ratio_text,
    lambda value: formatting.quantity_text(value, "s"),
    lambda value: formatting.quantity_text(value, "B"),
    lambda value: formatting.quantity_text(value, "tok/s"),
]
SCALES = {"B": 1.0, "KB": 1e3, "MB": 1e6, "GB": 1e9, "ms": 1e-3, "s": 1.0}


def magnitude(text: str) -> float:
    """The number that a formatted quantity stands for, in its base unit."""
    digits, _, unit = text.partition(" ")
    return float(digits.replace(",", "")) * SCALES.get(unit, 1.0)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(value=st.none() | st.floats())
def test_every_value_has_a_text(function, value):
    """Also None, NaN, infinities and the smallest and largest numbers."""
    text = function(value)
    assert text
    assert text == text.strip()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_that_are_not_numbers_are_a_dash(function):
    """An open bound of a ratio is shown as infinite, everything else as missing."""
    assert function(None) == function(math.nan) == formatting.NOTHING
    if function is not formatting.ratio_text:
        assert function(math.inf) == function(-math.inf) == formatting.NOTHING


@given(st.floats(-1e15, 1e15))
def test_a_number_keeps_three_significant_digits(value):
    """From 100 on it is rounded to a whole number, which is more exact."""
    assert magnitude(formatting.number(value)) == pytest.approx(value, rel=5.1e-3, abs=1e-300)


@given(st.floats(-1e15, 1e15))
def test_bytes_keep_their_magnitude_and_sign(value):
    """Whatever unit is chosen; below a kilobyte they are rounded to whole bytes."""
    text = formatting.bytes_text(value)
    assert magnitude(text) == pytest.approx(value, rel=5.1e-3, abs=0.5)
    assert text.startswith("-") == (magnitude(text) < 0)


@given(st.floats(-1e9, 1e9))
def test_seconds_keep_their_magnitude(value):
    """In milliseconds below a second."""
    assert magnitude(formatting.seconds_text(value)) == pytest.approx(value, rel=5.1e-3, abs=1e-300)


@given(st.floats(1e-3, 999.4))
def test_a_number_below_a_thousand_has_at_most_three_digits(value):
    """94.6 and not 94.58; rounding up never adds a fourth digit."""
    digits = formatting.number(value).replace(".", "").replace(",", "").lstrip("0")
    assert len(digits) <= 3


@pytest.mark.parametrize(
    ("value", "text"),
    [(9.996, "10.0"), (99.96, "100"), (999.6, "1,000"), (0.0, "0.00"), (0.9996, "1.00")],
)
def test_digits_follow_from_the_rounded_value(value, text):
    """Not 10.00, 100.0 or 1.000."""
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (-0.4, "0 B"), (999.4, "999 B"), (999_600, "1.00 MB"), (-24e9, "-24.0 GB")],
)
def test_bytes_change_their_unit_after_rounding(size, text):
    """Never 1000 KB."""
    assert formatting.bytes_text(size) == text


@pytest.mark.parametrize(
    ("count", "text"), [(37.0, "37"), (0, "0"), (1235, "1,235"), (36.5, "36.5")]
)
def test_a_count_has_no_decimals_of_its_own(count, text):
    """A median between two counts keeps its half."""
    assert formatting.count_text(count) == text


@given(st.floats(1e-6, 1e6))
def test_a_change_has_the_sign_of_the_difference(ratio):
    """1.12 is +12.0%, 0.9 is -10.0%."""
    change = float(formatting.change_text(ratio).rstrip("%")) / 100
    assert change == pytest.approx(ratio - 1, abs=0.00051, rel=1e-9)


@given(st.floats() | st.floats(0, 1e7))
def test_a_duration_is_never_negative_and_never_off_by_its_smallest_unit(seconds):
    """NaN and infinity count as no time."""
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    words = formatting.duration_text(seconds).split()
    total = sum(int(n) * units[unit] for n, unit in zip(words[::2], words[1::2], strict=True))
    if math.isfinite(seconds) and seconds > 0:
        assert total == pytest.approx(seconds, abs=units[words[-1]] + 0.5, rel=1e-9)
    else:
        assert total == 0


@given(st.text(max_size=50))
def test_a_revision_is_short_and_printable(revision):
    """A commit has twelve digits of it; none at all is unknown."""
    assert formatting.revision_text("0123456789abcdef" + revision) == "0123456789ab"
    assert formatting.revision_text("") == "unknown"
    assert "\x1b" not in formatting.revision_text(revision)
