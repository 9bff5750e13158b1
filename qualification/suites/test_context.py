"""How much of a conversation does it retain in the third turn?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qualification.judging.stats.estimators import share_interval
from qualification.suites.support.answers import share_correct

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import GetPairs

pytestmark = pytest.mark.suite(
    "context", "what the model retains of the first turn two turns later"
)


@pytest.mark.needs("multi_turn")
def test_remembers_the_image_of_the_first_turn(
    deployed: Deployed, memory_answers: GetPairs, context_floor: float
) -> None:
    """With the full history, the retention reaches the floor; of a text model that of a word.

    The questions are a dozen, so it misses the floor only if its whole 95 % interval does.
    """
    answers = [answer for answer, _ in memory_answers()]
    retention = share_interval([answer.is_correct for answer in answers])
    deployed.record("context_retention", retention.mean)
    incorrect = [str(answer) for answer in answers if not answer.is_correct]
    upper = retention.upper
    assert upper >= context_floor, f"{retention} retained, first incorrect answers: {incorrect[:3]}"


@pytest.mark.needs("vision", "multi_turn")
def test_answers_with_the_image_left_out(deployed: Deployed, memory_answers: GetPairs) -> None:
    """With the history but without its image it answers too; the accuracy is recorded."""
    answers = [answer for _, answer in memory_answers()]
    deployed.record("context_without_image", share_correct(answers))
    silent = [answer.question.identifier for answer in answers if not answer.text]
    assert deployed.is_canary or not silent, f"no answer without the image to {silent}"
