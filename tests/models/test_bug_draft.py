"""What a known bug that no longer fails asks for in bugs.toml."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from qualification.core.paths import DECLARATIONS
from qualification.models.known_bugs import draft, ended

TEXT = """# A comment.
[[bugs]]
identifier = "one"
versions = ">=0.4.1"  # measured
package = "mlx-vlm"

[[bugs]]
identifier = "two"
versions = ">=0.4.1,<0.9"
"""
RELEASES = st.builds(lambda a, b: f"{a}.{b}", st.integers(0, 5), st.integers(0, 9))


@pytest.mark.parametrize(
    ("versions", "good", "expected"),
    [
        (">=0.4.1", "0.7.11", ">=0.4.1,<0.7.11"),
        (">=0.4.1,<0.9", "0.6.14", ">=0.4.1,<0.6.14"),
        (">=0.4.1", "0.4.1", ">=0.4.1,!=0.4.1"),
        (">=4.54,!=4.55,<5.4", "5.3", ">=4.54,!=4.55,<5.3"),
    ],
)
def test_a_range_ends_before_the_release_that_is_good(versions, good, expected):
    """Its beginning and its exceptions stay."""
    assert ended(versions, good) == expected


@given(RELEASES, RELEASES, RELEASES)
def test_the_good_release_is_out_and_nothing_new_is_in(lower, good, other):
    """Whatever was not in the range before is not in it afterwards."""
    before = SpecifierSet(f">={lower}")
    after = SpecifierSet(ended(f">={lower}", good))
    assert good not in after
    assert other in before or other not in after


def test_the_draft_is_a_diff_of_that_line_alone():
    """The lowest good version counts, comments stay, other entries are not touched."""
    text = draft(TEXT, [("two", "0.8"), ("two", "0.6.14"), ("unknown", "1.0")])
    changed = [
        line for line in text.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    assert changed == ['-versions = ">=0.4.1,<0.9"', '+versions = ">=0.4.1,<0.6.14"']
    assert draft(TEXT, []) == ""


def test_an_entry_of_which_nothing_is_left_goes():
    """Known for one release only, and that one is good."""
    text = '[[bugs]]\nidentifier = "one"\nversions = "==0.3.9"\ntitle = "x"\n\n# next\n[[bugs]]\n'
    found = draft(text, [("one", "0.3.9")])
    assert '-title = "x"' in found
    assert "-# next" not in found


def test_every_entry_that_ships_can_be_drafted():
    """The file is written in the way that the draft reads."""
    import re

    text = (DECLARATIONS / "bugs.toml").read_text()
    for identifier in re.findall(r'^identifier = "(.*)"$', text, re.MULTILINE):
        assert f'identifier = "{identifier}"' in draft(text, [(identifier, "999.0")])
