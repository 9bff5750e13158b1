"""The map's first screen: which release to pin, and which to avoid."""

from dataclasses import replace

from qualification.documents.render import render, screen
from qualification.upgrade.release_map.document import map_document
from qualification.upgrade.release_map.records import Place
from tests.upgrade.release_map.test_changes import GOOD, HALF, NAME, release_map


def lines(*rights, **how):
    """``WORD  text`` of the first screen's lines."""
    document = map_document(release_map(*rights, **how), "2026-11-30")
    return [line for line in screen(document, 200) if line.startswith(("PIN", "AVOID"))]


def test_it_says_what_to_pin_and_what_to_avoid():
    """With the range of a fault, and its end if it has one."""
    assert lines(GOOD, HALF, HALF, GOOD) == [
        f"PIN  xllamacpp==4.0: the newest with nothing wrong for {NAME}",
        f"AVOID  from 2.0, fixed in 4.0: {NAME}",
    ]
    assert lines(GOOD, HALF) == [
        f"PIN  xllamacpp==1.0: the newest with nothing wrong for {NAME}",
        f"AVOID  from 2.0, and every later one here: {NAME}",
    ]
    assert lines(HALF, HALF) == [f"PIN  none of these releases answers as {NAME} should"]


def test_a_release_has_a_row_and_what_could_not_be_tried_its_reason():
    """A yanked one is marked; one that does not load is no zero."""
    sample = release_map(GOOD, None, GOOD, yanked=("3.0",))
    failed = Place("1.0", "its day", failure="no wheel of numpy as of that day")
    sample = replace(sample, places=(*sample.places[1:], failed))
    markdown = render(map_document(sample, "2026-11-30"))["releases-xllamacpp.md"]
    assert "120/120" in markdown
    assert "does not load" in markdown
    assert "(yanked)" in markdown
    assert "no wheel of numpy as of that day" in markdown
