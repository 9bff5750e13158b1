"""Can it do what its declaration says: see, tell pictures apart, answer without one?"""

import pytest

pytestmark = pytest.mark.capability


@pytest.mark.needs("vision")
@pytest.mark.parametrize("skill", ["colour", "shape"])
def test_says_what_it_sees(deployed, questions, skill):
    """A question about a generated picture is answered rightly."""
    question = questions(seed=7, count=1, skills=[skill])[0]
    answer = deployed.answer(question)
    assert deployed.is_right(question, answer), (
        f"{question.prompt} -> {answer!r}, expected {question.answer!r}"
    )


@pytest.mark.needs("multi_image")
def test_tells_two_pictures_apart(deployed, questions):
    """Questions for the colours of two pictures are answered in the pictures' order."""
    asked = questions(seed=7, count=5, skills=["pair"])
    wrong = [
        (answer, question.answer)
        for question in asked
        if not deployed.is_right(question, answer := deployed.answer(question))
    ]
    assert not wrong, f"of {len(asked)} questions about two pictures, wrong ones: {wrong}"


@pytest.mark.needs("text_only")
def test_text_only_question(deployed, questions):
    """A question without a picture is answered rightly."""
    question = questions(seed=7, count=1, skills=["text"])[0]
    answer = deployed.answer(question)
    assert deployed.is_right(question, answer), (
        f"text-only question {question.prompt!r} -> {answer!r}, expected {question.answer!r}"
    )


@pytest.mark.needs("vision")
def test_ends_its_answer_by_itself(deployed, questions):
    """A one-word answer ends with the end-of-turn token and not at the token limit."""
    question = questions(seed=8, count=1, skills=["colour"])[0]
    generation = deployed.generate(
        question.prompt + ("" if deployed.is_canary else " Answer with one word."),
        *question.images(),
        max_tokens=64,
    )
    assert generation.finish_reason == "stop", f"still talking after 64 tokens: {generation.text!r}"
