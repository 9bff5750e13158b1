"""How many generated questions does it answer rightly?"""

import pytest

from qualification.judging.stats.estimators import share_interval

pytestmark = pytest.mark.quality


@pytest.mark.needs("vision")
def test_answers_held_out_questions(deployed, answered, skills, accuracy_floor):
    """The share of right answers to held-out questions of every skill reaches the floor.

    It misses the floor only where the whole 95 % interval does: the questions are a few dozen.
    """
    answers = [each for skill in skills for each in answered(skill)]
    wrong = [
        (each.question.prompt, each.generation.text.strip(), each.question.answer)
        for each in answers
        if not each.right
    ]
    accuracy = share_interval([each.right for each in answers])
    deployed.record("accuracy", accuracy.mean)
    at_best = accuracy.upper
    assert at_best >= accuracy_floor, f"{accuracy} right, first wrong ones: {wrong[:3]}"
