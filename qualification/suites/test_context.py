"""How much of a conversation does it still know in the third turn?"""

import pytest

from qualification.judging.stats.estimators import share_interval

pytestmark = pytest.mark.context


@pytest.mark.needs("vision", "multi_turn")
def test_remembers_the_picture_of_the_first_turn(deployed, recalled, context_floor):
    """With the history in full: the share of right answers reaches the floor.

    It misses the floor only where the whole 95 % interval does: the questions are a dozen.
    """
    asked = [shown for shown, _ in recalled()]
    share = share_interval([each.right for each in asked])
    deployed.record("context_retention", share.mean)
    wrong = [str(each) for each in asked if not each.right]
    at_best = share.upper
    assert at_best >= context_floor, f"{share} remembered, first wrong ones: {wrong[:3]}"


@pytest.mark.needs("vision", "multi_turn")
def test_answers_with_the_picture_left_out(deployed, recalled):
    """With the history but without its picture it answers too; how often rightly is recorded."""
    asked = [without for _, without in recalled()]
    deployed.record("context_without_picture", sum(each.right for each in asked) / len(asked))
    silent = [each.question.identifier for each in asked if not each.generation.text.strip()]
    assert deployed.is_canary or not silent, f"no answer without the picture to {silent}"
