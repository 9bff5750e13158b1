"""How many generated questions does it answer correctly?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qualification.judging.stats.estimators import share_interval

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import GetAnswers

pytestmark = pytest.mark.suite("quality", "accuracy on generated questions")


def test_answers_held_out_questions(
    deployed: Deployed, answers: GetAnswers, skills: tuple[str, ...], accuracy_floor: float
) -> None:
    """The accuracy on held-out questions of every skill reaches the floor.

    The questions are a few dozen, so it misses the floor only if its whole 95 % interval does.
    """
    of_all_skills = [answer for skill in skills for answer in answers(skill)]
    incorrect = [
        (answer.question.prompt, answer.text, answer.question.answer)
        for answer in of_all_skills
        if not answer.is_correct
    ]
    accuracy = share_interval([answer.is_correct for answer in of_all_skills])
    deployed.record("accuracy", accuracy.mean)
    deployed.record("accuracy_questions", accuracy.count)
    upper = accuracy.upper
    assert upper >= accuracy_floor, f"{accuracy} correct, first incorrect answers: {incorrect[:3]}"
