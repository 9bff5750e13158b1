"""Generated questions: the same everywhere, and disjoint between training and held-out split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.declarations import Model
from qualification.tasks.questions import (
    ALL_SKILLS,
    DIGITS,
    Question,
    generate,
    is_correct,
    memory_skill,
    plain_skill,
    says_the_answer,
    sees,
    skills_of,
    word_list,
)

IMAGE_SKILLS = tuple(skill for skill in ALL_SKILLS if skill not in ("text", "motion", "remember"))

seeds = st.integers(0, 2**32)


@given(seed=seeds, split=st.sampled_from(["train", "heldout"]))
@settings(max_examples=15, deadline=None)
def test_equal_arguments_give_equal_questions(seed, split):
    """A list of questions depends on nothing but its arguments."""
    questions = generate(seed, 22, split, ALL_SKILLS)
    assert questions == generate(seed, 22, split, ALL_SKILLS)
    assert len({question.identifier for question in questions}) == 22


@given(seed=seeds, heldout_seed=seeds)
@settings(max_examples=15, deadline=None)
def test_no_held_out_image_is_ever_trained_on(seed, heldout_seed):
    """A scene determines its own split, whatever the seeds."""
    trained = {s for q in generate(seed, 60, "train", IMAGE_SKILLS) for s in q.scenes}
    held_out = {s for q in generate(heldout_seed, 60, "heldout", IMAGE_SKILLS) for s in q.scenes}
    assert not trained & held_out
    assert {scene.split() for scene in held_out} == {"heldout"}
    clips = [q.clip for q in generate(heldout_seed, 10, "heldout", ["motion"])]
    assert {clip.split() for clip in clips} == {"heldout"}


@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_every_image_stays_within_its_frame_and_shows_the_answer(seed):
    """Marks do not cross the edge, words fit, and a clip moves in the direction of its answer."""
    for question in generate(seed, 44, "heldout", ALL_SKILLS):
        for scene in question.scenes:
            for mark in scene.marks:
                assert mark.radius <= mark.x <= scene.width - mark.radius
                assert mark.radius <= mark.y <= scene.height - mark.radius
            assert scene.draw().size == (scene.width, scene.height)
            for line in scene.prints:
                assert line.x + 6 * len(line.word) * line.scale <= scene.width
                assert line.y + 11 * line.scale <= scene.height
        if question.skill == "count":
            assert len(question.scenes[0].marks) == int(question.answer)
        if question.clip is not None:
            start, end = (question.clip.scenes[index].marks[0] for index in (0, -1))
            moved = (end.x - start.x, end.y - start.y)
            axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[
                question.answer
            ]
            assert moved[axis] * sign > 0
            assert moved[1 - axis] == 0
            assert len(question.frames()) == 8


def test_which_image_has_one_answer():
    """One of the two images shows a word and the other a shape, in either order."""
    places = set()
    for question in generate(3, 50, "heldout", ["which"]):
        place = {"first": 0, "second": 1}[question.answer]
        assert [bool(scene.prints) for scene in question.scenes] == [place == 0, place == 1]
        places.add(place)
    assert places == {0, 1}


def test_a_memory_question_comes_two_turns_after_the_image():
    """The history is true and does not name the shape."""
    for question in generate(3, 20, "heldout", ["recall"]):
        (_, colour), (prompt, digit) = question.history
        assert colour == question.scenes[0].fact("colour")
        assert DIGITS[int(digit)] in prompt
        assert question.answer == question.scenes[0].fact("shape")


def test_a_word_is_asked_for_two_turns_after_it_was_said():
    """The turns between do not repeat it."""
    for question in generate(3, 20, "heldout", ["remember"]):
        (sentence, reply), (prompt, digit) = question.history
        assert question.answer in sentence
        assert question.answer not in reply + prompt + digit + question.prompt
        assert not question.images()


@pytest.mark.parametrize(
    ("capabilities", "plain", "memory"),
    [
        (("vision", "text_only", "multi_turn"), "both", "recall"),
        (("text_only", "multi_turn"), "text", "remember"),
    ],
)
def test_a_model_of_text_alone_is_asked_about_no_image(capabilities, plain, memory):
    """In place of images it gets texts."""
    model = Model("x", "x", 1, "", capabilities, ())
    assert (plain_skill(model), memory_skill(model)) == (plain, memory)
    skills = skills_of(model)
    assert memory in skills
    assert len({"recall", "remember"} & set(skills)) == 1
    for question in generate(1, 2 * len(skills), "heldout", skills):
        assert bool(question.images()) <= sees(model)


def test_a_list_of_words_has_one_length_and_another_order():
    """Two prompts of one size have nothing in common from the first word on."""
    warm_up, measured = (word_list(seed, 200) for seed in (19, 20))
    assert warm_up == word_list(19, 200) != measured
    assert len(warm_up.split()) == len(measured.split()) == 201
    assert warm_up.split()[1] != measured.split()[1]


def test_the_images_are_those_that_canaries_were_trained_on():
    """The bytes are pinned: a change of the drawing would silently make the canaries wrong."""
    import hashlib

    digest = hashlib.sha256()
    for question in generate(1, 40, "heldout", IMAGE_SKILLS):
        for image in question.images():
            digest.update(image.tobytes())
    assert digest.hexdigest()[:16] == "3b42479fb25486c6"


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("red circle", True),
        (" Red  circle.\n", True),
        ("red circle red", False),
        ("circle red", False),
        ("red", False),
        ("", False),
    ],
)
def test_only_the_whole_answer_is_correct(text, correct):
    """A correct word among others is incorrect."""
    question = next(q for q in generate(1, 200, "heldout", ["both"]) if q.answer == "red circle")
    assert is_correct(question, text) is correct


@pytest.mark.parametrize(
    ("skill", "answer", "text", "correct"),
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
        ("count", "3", "There are three shapes.", True),
        ("count", "3", "3 or 4", False),
        ("position", "left", "It is to the left of the dot.", True),
        ("position", "left", "left or right", False),
        ("word", "cat", "The word is CAT.", True),
        ("which", "second", "The second picture.", True),
    ],
)
def test_a_sentence_must_name_the_answer_and_no_rival(skill, answer, text, correct):
    """Real models say more than one word."""
    question = Question("x", skill, "?", answer)
    assert says_the_answer(question, text) is correct


@given(text=st.text(max_size=50))
def test_any_answer_can_be_scored(text):
    """Scoring never fails on a model's output."""
    assert is_correct(generate(1, 1, "heldout", ["colour"])[0], text) in (True, False)


@pytest.mark.parametrize(
    "wrong", [{"split": "test"}, {"skills": []}, {"skills": ["colour", "smell"]}]
)
def test_an_unknown_split_or_skill_is_refused(wrong):
    """The error lists what exists."""
    with pytest.raises(ValueError, match=r"split|skills"):
        generate(1, 1, **wrong)
