"""Generated questions: the same everywhere, never shared between training and holding out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.questions import ALL_SKILLS, Question, generate, is_right, says_the_answer

PICTURE_SKILLS = ("colour", "shape", "both")

seeds = st.integers(0, 2**32)


@given(seed=seeds, split=st.sampled_from(["train", "heldout"]))
@settings(max_examples=15, deadline=None)
def test_equal_arguments_give_equal_questions(seed, split):
    """A seed is all that a list of questions depends on."""
    once = generate(seed, 12, split, ALL_SKILLS)
    assert once == generate(seed, 12, split, ALL_SKILLS)
    assert len({question.identifier for question in once}) == 12


@given(one=seeds, other=seeds)
@settings(max_examples=15, deadline=None)
def test_no_held_out_picture_is_ever_trained_on(one, other):
    """The scene decides its split, whatever the seeds."""
    trained = {s for q in generate(one, 60, "train", PICTURE_SKILLS) for s in q.scenes}
    held_out = {s for q in generate(other, 60, "heldout", PICTURE_SKILLS) for s in q.scenes}
    assert not trained & held_out
    assert {scene.split() for scene in held_out} == {"heldout"}


def test_the_pictures_are_those_that_canaries_were_trained_on():
    """A change of the drawing would silently make the canaries wrong: the bytes are pinned."""
    import hashlib

    digest = hashlib.sha256()
    for question in generate(1, 20, "heldout", PICTURE_SKILLS):
        for picture in question.images():
            digest.update(picture.tobytes())
    assert digest.hexdigest()[:16] == "90cbe815098b5463"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("red circle", True),
        (" Red  circle.\n", True),
        ("red circle red", False),
        ("circle red", False),
        ("red", False),
        ("", False),
    ],
)
def test_only_the_whole_answer_is_right(text, right):
    """A right word among others is wrong."""
    question = next(q for q in generate(1, 200, "heldout", ["both"]) if q.answer == "red circle")
    assert is_right(question, text) is right


@pytest.mark.parametrize(
    ("skill", "answer", "text", "right"),
    [
        ("colour", "red", "The shape is **Red**.", True),
        ("colour", "red", "not blue", False),
        ("colour", "red", "red, green, blue, yellow, purple, black", False),
        ("both", "red circle", "A circle, and it is red.", True),
        ("both", "red circle", "A red square", False),
        ("pair", "red blue", "(red) / (blue)", True),
        ("pair", "red blue", "blue and red", False),
        ("pair", "red red", "red", False),
        ("text", "5", "The digit is `5`.", True),
        ("text", "5", "five", False),
    ],
)
def test_a_sentence_is_right_if_it_names_the_answer_and_no_rival(skill, answer, text, right):
    """For real models, which say more than one word."""
    question = Question("x", skill, "?", answer)
    assert says_the_answer(question, text) is right


@given(text=st.text(max_size=50))
def test_whatever_is_said_can_be_scored(text):
    """Scoring never fails on a model's output."""
    assert is_right(generate(1, 1, "heldout", ["colour"])[0], text) in (True, False)


@pytest.mark.parametrize(
    "wrong", [{"split": "test"}, {"skills": []}, {"skills": ["colour", "smell"]}]
)
def test_an_unknown_split_or_skill_is_refused(wrong):
    """One sentence names what there is."""
    with pytest.raises(ValueError, match=r"split|skills"):
        generate(1, 1, **wrong)
