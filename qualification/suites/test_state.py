"""Does a request leave anything behind that changes the next one?"""

import pytest

pytestmark = pytest.mark.state


@pytest.mark.needs("vision")
def test_another_picture_between_changes_nothing(deployed, questions):
    """Picture A, picture B, picture A again: the third answer equals the first."""
    first, second = questions(seed=13, count=2, skills=["both"])
    before = deployed.answer(first)
    between = deployed.answer(second)
    after = deployed.answer(first)
    assert after == before, f"{before!r}, then {after!r} after another picture ({between!r})"
