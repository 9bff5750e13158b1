"""The VQA 2.0 accuracy, exactly as in the published code."""

import hashlib

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from qualification.tasks.questions import generate
from qualification.tasks.vqa.scoring import (
    CONTRACTIONS,
    VqaItem,
    VqaSet,
    generated_set,
    is_simply_correct,
    normalise,
    score,
    vqa_accuracy,
)

# Words that the official lists and rules change, among words that they do not.
_words = st.sampled_from(
    (
        *("red", "Red", "RED.", "a", "The", "an", "two", "none", "2", "10", "dont", "don't", "Im"),
        *("lets", "1,000", "3.5", ".5", "v.2", "2:50", "red-blue", "red - blue", "(red)", "girl's"),
        *("é", "\n"),
    )
)
_answers = st.one_of(
    st.lists(_words, max_size=4).map(" ".join), st.text(max_size=12), st.lists(_words).map("".join)
)
_people = st.lists(_answers, min_size=1, max_size=3).flatmap(
    lambda pool: st.lists(st.sampled_from(pool), min_size=10, max_size=10)
)


# --------------------------------------------------------------------------- one answer


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("Black.", "black"),
        ("The  dog", "dog"),
        ("two dogs", "2 dogs"),
        ("left one", "left 1"),
        ("none", "0"),
        ("eleven", "eleven"),
        ("dont", "don't"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("couldntve", "couldntve"),  # both apostrophes missing: not in the list
        ("twas", "'twas"),
        ("lets go", "lets go"),  # the official list has "let's" only, which it leaves alone
        ("let's go", "let's go"),
        ("somebody'd", "somebodyd"),
        ("Im", "im"),  # the official keys with a capital are never met
        ("girl's", "girl's"),
        ("2:50 pm", "2:50 pm"),
        ("red,blue", "red blue"),
        ("red, blue", "red blue"),
        ("red-blue", "red blue"),
        ("red -blue", "red blue"),
        ("red- green-blue", "red greenblue"),  # beside a blank once: taken out everywhere
        ("100,978", "100978"),
        ("1,000 red-blue", "1000 redblue"),  # a comma in a number: all marks are taken out
        ("3.5", "3.5"),
        (".5", ".5"),
        ("v.2", "v.2"),
        ("yes. no", "yes no"),
        ("U.S.A.", "usa"),
        ("a", ""),
        ("the", ""),
        ("an,a", ""),
        ("", ""),
        ("?!", ""),
        ("red\nblue\tgreen", "red blue green"),
        ("." * 40, "." * 8),  # re.UNICODE, 32, is passed where the count belongs
    ],
)
def test_normalising_follows_the_published_code(text, compared):
    """Worked out by hand from vqaEval.py, oddities and all."""
    assert normalise(text) == compared


def test_the_contractions_are_the_published_ones():
    """Every entry of the official list that can change a word; the digest is of that list."""
    digest = hashlib.sha256(repr(sorted(CONTRACTIONS.items())).encode()).hexdigest()
    assert (len(CONTRACTIONS), digest[:16]) == (114, "3bbe719c676d7e82")


@given(text=_answers)
@example("İ ß Ǆ ٣,٤")
@settings(deadline=None)
def test_normalising_twice_is_normalising_once(text):
    """Except with more full stops than the official code removes at once."""
    assume(text.count(".") <= 32)
    assert normalise(normalise(text)) == normalise(text)


@pytest.mark.parametrize(
    ("people", "answer", "accuracy"),
    [
        (["yes"] * 8 + ["no"] * 2, "no", 0.6),  # the author's own example, GT-Vision-Lab/VQA#1
        (["yes"] * 8 + ["no"] * 2, "yes", 1.0),
        (["yes"] * 9 + ["no"], "no", 0.3),
        (["yes"] * 7 + ["no"] * 3, "no", 0.9),  # (3 x 2/3 + 7 x 3/3) / 10
        (["yes"] * 6 + ["no"] * 4, "no", 1.0),
        (["yes"] * 10, "no", 0.0),
        (["black"] * 10, "black", 1.0),
        (["black"] * 10, " black\n", 1.0),
        (["black"] * 10, "Black.", 0.0),  # all agree: nothing is normalised
        (["black"] * 9 + ["grey"], "Black.", 1.0),
        (["two"] * 10, "2", 0.0),
        (["two"] * 5 + ["2"] * 5, "Two.", 1.0),
        (["Black"] * 5 + ["black"] * 5, "BLACK", 1.0),  # not all equal, so all are normalised
        (["none"] * 1 + ["nothing"] * 9, "none", 0.3),
        (["the"] * 3 + ["a"] * 7, "", 1.0),  # articles alone become empty
    ],
)
def test_official_accuracy(people, answer, accuracy):
    """The mean over the ten ways to leave a person out."""
    assert vqa_accuracy(answer, people) == pytest.approx(accuracy, abs=1e-12)


@given(people=_people, answer=_answers)
@settings(deadline=None)
def test_official_accuracy_is_the_mean_over_those_left_out(people, answer):
    """The short form equals the definition and is one of five values."""

    def clean(text):
        return text.replace("\n", " ").replace("\t", " ").strip()

    form = normalise if len({clean(human) for human in people}) > 1 else clean
    humans = [form(human) for human in people]
    defined = [
        min(1.0, (humans[:place] + humans[place + 1 :]).count(form(answer)) / 3)
        for place in range(len(humans))
    ]
    assert vqa_accuracy(answer, people) == pytest.approx(sum(defined) / 10)
    assert vqa_accuracy(answer, people) in (0, 0.3, 0.6, 0.9, 1)


@given(people=_people, answer=_answers, order=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_the_people_does_not_matter(people, answer, order):
    """This holds for both accuracies."""
    shuffled = list(people)
    order.shuffle(shuffled)
    assert vqa_accuracy(answer, shuffled) == vqa_accuracy(answer, people)
    assert is_simply_correct(answer, shuffled) == is_simply_correct(answer, people)


@given(people=_people)
@settings(deadline=None)
def test_the_most_frequent_answer_is_simply_correct(people):
    """By the official measure it is correct as far as people agree."""
    most = max(people, key=people.count)
    if people.count(most) > 5:
        assert is_simply_correct(most, people)
        assert vqa_accuracy(most, people) == 1


@pytest.mark.parametrize(
    ("people", "answer", "correct"),
    [
        (["black"] * 10, "Black.", True),
        (["yes"] * 6 + ["no"] * 4, "no", False),  # officially fully correct
        (["red", "blue"] * 5, "blue", True),
        (["red", "blue"] * 5, "Red!", True),
        (["two"] * 4 + ["2"] * 2 + ["three"] * 4, "2", True),  # six, once normalised
        (["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"], "k", False),
        (["red"] * 10, "it is red", False),
    ],
)
def test_simple_accuracy(people, answer, correct):
    """The normalised answer is a most frequent human answer."""
    assert is_simply_correct(answer, people) is correct


def test_without_people_there_is_no_accuracy():
    """Zero would mean that the answer was wrong."""
    with pytest.raises(ValueError, match="human answers"):
        vqa_accuracy("yes", [])
    with pytest.raises(ValueError, match="human answers"):
        is_simply_correct("yes", [])


# --------------------------------------------------------------------------- a set


def _set(*people):
    return VqaSet(
        "val2014", tuple(VqaItem(str(n), "?", tuple(ten)) for n, ten in enumerate(people)), "four"
    )


def test_a_score_has_both_accuracies_and_their_intervals():
    """Four answers: correct, 0.9 as the second choice, correct, incorrect."""
    questions = _set(
        ["red"] * 10, ["yes"] * 7 + ["no"] * 3, ["2"] * 9 + ["3"], ["dog"] * 6 + ["cat"] * 4
    )
    result = score(questions, ["red", "no", "two", "<b>horse</b>"])
    assert result.metrics() == {
        "vqa_accuracy": pytest.approx(0.725),
        "simple_accuracy": pytest.approx(0.5),
    }
    assert result.incorrect == (("?", "<b>horse</b>", "dog"),)
    assert result.accuracy.lower < 0.725 < result.accuracy.upper
    assert "72.5%" in result.sentence()
    assert "four" in result.sentence()


@given(
    people=st.lists(_people, min_size=1, max_size=8),
    answers=st.lists(_answers, min_size=8, max_size=8),
)
@settings(max_examples=30, deadline=None)
def test_a_score_is_a_share(people, answers):
    """Each is between zero and one, with its interval around it."""
    result = score(_set(*people), answers[: len(people)])
    for interval in (result.accuracy, result.simple):
        assert 0 <= interval.lower <= interval.mean <= interval.upper <= 1


def test_each_question_needs_an_answer():
    """A set that is only partly answered has no accuracy."""
    with pytest.raises(ValueError, match="zip"):
        score(_set(["red"] * 10), [])
    with pytest.raises(ValueError, match="one question"):
        score(_set(), [])


def test_generated_questions_require_the_exact_answer():
    """All ten people agree, so the official measure normalises nothing."""
    questions = generated_set(generate(5, 12, "heldout", ["colour", "shape", "both"]))
    answers = [item.generated.answer for item in questions.items]
    assert score(questions, answers).metrics() == {
        "generated_vqa_accuracy": 1.0,
        "generated_simple_accuracy": 1.0,
    }
    loud = score(questions, [f"{answer.upper()}." for answer in answers])
    assert (loud.accuracy.mean, loud.simple.mean) == (0, 1)
