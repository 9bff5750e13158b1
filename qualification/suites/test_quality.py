"""How many generated questions does it answer rightly?"""

import pytest

pytestmark = pytest.mark.quality

QUESTIONS = 100


@pytest.mark.needs("vision")
def test_answers_held_out_questions(deployed, questions, accuracy_floor):
    """The share of right answers to held-out colour and shape questions reaches the floor."""
    asked = questions(seed=2026, count=QUESTIONS, skills=["colour", "shape"])
    answers = [(question, deployed.answer(question)) for question in asked]
    wrong = [(q.prompt, a, q.answer) for q, a in answers if not deployed.is_right(q, a)]
    accuracy = 1 - len(wrong) / len(answers)
    deployed.record("accuracy", accuracy)
    assert accuracy >= accuracy_floor, f"{accuracy:.1%} right, first wrong ones: {wrong[:3]}"
