"""How a canary does under each release, which one is pinned, and what is to be avoided."""

from dataclasses import replace

import pytest

from qualification.upgrade.release_map.states import pin, states, stretches
from tests.upgrade.release_map.test_changes import GOOD, HALF, NAME, NONE, release_map


def words(*rights, margins=None):
    """The state under each release."""
    sample = with_margins(release_map(*rights), margins or {})
    return [state for _, _, state in states(sample, NAME)]


def with_margins(sample, margins):
    """Every answer has a reference of 1.0; ``margins``: release -> that of its answers."""
    sights = tuple(
        replace(
            sight,
            behaviour=replace(
                sight.behaviour,
                answers=tuple(
                    replace(answer, margin=margins.get(sight.key, 1.0), references=(1.0,))
                    for answer in sight.behaviour.answers
                ),
            ),
        )
        for sight in sample.sights
    )
    return replace(sample, sights=sights)


def spans(*rights, margins=None):
    """``state since–until`` of each stretch."""
    sample = with_margins(release_map(*rights), margins or {})
    return [f"{span.state} {span.since}–{span.until}" for span in stretches(sample, NAME)]


@pytest.mark.parametrize(
    ("rights", "yanked", "expected"),
    [
        ((GOOD, GOOD, HALF), (), "2.0"),
        ((GOOD, HALF, GOOD), (), "3.0"),
        ((GOOD, HALF, GOOD), ("3.0",), "1.0"),
        ((HALF, HALF), (), ""),
        ((None, NONE), (), ""),
    ],
)
def test_the_newest_release_with_nothing_wrong_is_pinned(rights, yanked, expected):
    """None where it never answered as it was trained to; never a yanked one."""
    assert pin(release_map(*rights, yanked=yanked), NAME) == expected


def test_a_release_is_measured_by_the_best_one():
    """A canary that is good nowhere is good under none; few lost answers are no fault."""
    assert words(GOOD, GOOD - 1, HALF, None) == ["good", "good", "wrong", "does not load"]
    assert words(HALF, HALF) == ["wrong", "wrong"]
    assert words(GOOD, 0) == ["good", "wrong"]


def test_what_never_loaded_before_is_too_old_and_not_at_fault():
    """The files' layout is newer than these releases."""
    assert words(None, None, GOOD, None) == ["before", "before", "good", "does not load"]
    assert words(None, None) == ["does not load", "does not load"]
    assert spans(None, GOOD, None, GOOD) == ["before 1.0–2.0", "does not load 3.0–4.0"]
    assert spans(None, HALF, GOOD) == ["before 1.0–2.0", "wrong 2.0–3.0"]


def test_a_fault_ends_with_the_next_release_that_is_as_correct():
    """Its own one, and not that of a later fault."""
    assert spans(GOOD, HALF, HALF, GOOD, HALF, GOOD) == ["wrong 2.0–4.0", "wrong 5.0–6.0"]
    assert spans(GOOD, HALF) == ["wrong 2.0–"]
    assert spans(HALF, HALF) == []


def test_shifted_margins_are_a_fault_only_after_a_good_release():
    """Whoever computes otherwise from the beginning may round or resize otherwise."""
    assert words(GOOD, GOOD, margins={"2.0": 0.5}) == ["good", "shifted"]
    assert spans(GOOD, GOOD, margins={"2.0": 0.5}) == ["shifted 2.0–"]
    assert spans(GOOD, GOOD, margins={"1.0": 0.5}) == []
    assert spans(HALF, GOOD, GOOD, margins={"2.0": 0.5}) == ["wrong 1.0–2.0"]
