"""From answers to a verdict: planted faults are named, sound deployments raise no alarm."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from qualification.core.declarations import KnownBug, Model
from qualification.see.conclusions import (
    MOST_REQUESTS,
    Target,
    conclude,
    false_alarms,
    is_decided,
    next_series,
)
from qualification.see.series import FAULTS, Look, long_prompt, questions_of, requests_of
from qualification.tasks.questions import Question, says_the_answer
from qualification.tasks.scenes import COLOURS, SHAPES

MODEL = Model("x", "x", 1, "", ("vision", "text_only", "multi_image", "multi_turn"), ())
SERVER = Target(MODEL, is_server=True)
PROCESS = Target(MODEL)
RUNS = 30

Answerer = Callable[[str, Question, list[Question]], str]
"""(series, question, the questions of this series before) -> an answer."""


def right(_series, question, _before):
    return f"It is {question.answer}."


def wrong_word(question):
    """An answer of its kind, and another one."""
    vocabulary = SHAPES if question.skill in ("shape", "recall") else tuple(COLOURS)
    return next(word for word in vocabulary if word not in question.answer)


def blind(_series, question, _before):
    return {"colour": "red", "shape": "circle", "both": "red circle"}.get(question.skill, "red")


def guessing(series, question, before):
    rng = random.Random(f"{series}{len(before)}{question.identifier}")
    words = {"colour": tuple(COLOURS), "shape": SHAPES}.get(question.skill)
    return rng.choice(words) if words else f"{rng.choice(tuple(COLOURS))} {rng.choice(SHAPES)}"


def stale_by_prompt(_series, question, before):
    return (before[0] if before else question).answer


def one_late(_series, question, before):
    return (before[-1] if before else question).answer


def stale_by_file_name(series, question, before):
    return stale_by_prompt(series, question, before if series == "file name" else [])


def channels_swapped(_series, question, _before):
    swapped = {"red": "blue", "blue": "red", "yellow": "green", "purple": "purple"}
    return " ".join(swapped.get(word, word) for word in question.answer.split())


def grey(_series, question, _before):
    return " ".join("black" if word in COLOURS else word for word in question.answer.split())


def permuted(size):
    def answer(_series, question, _before):
        words = question.answer.split()
        turned = question.skill == "pair" and len(words) == size
        return " ".join(words[1:] + words[:1] if turned else words)

    answer.__name__ = f"permuted_{size}"
    return answer


def only(place):
    def answer(_series, question, _before):
        words = question.answer.split()
        return (
            " ".join([words[place]] * len(words)) if question.skill == "pair" else " ".join(words)
        )

    answer.__name__ = f"only_{place}"
    return answer


def silent(_series, _question, _before):
    return ""


def failing(series, text="I cannot tell"):
    def answer(series_asked, question, _before):
        return text if series_asked == series else question.answer

    answer.__name__ = f"failing_{series.replace(' ', '_')}"
    return answer


def rival(series):
    """The answer that the request itself names as the fault's."""

    def answer(series_asked, question, before):
        if series_asked != series:
            return question.answer
        requests = requests_of(series, answer.seed, is_canary=False)
        return requests[len(before)].rival

    answer.__name__ = f"rival_{series.replace(' ', '_')}"
    return answer


FAULTY = {
    blind: "blind",
    silent: "blind",
    stale_by_prompt: "stale",
    one_late: "stale",
    channels_swapped: "wrong colours",
    grey: "wrong colours",
    permuted(2): "permuted",
    permuted(3): "permuted",
    permuted(4): "permuted",
    only(0): "permuted",
    only(-1): "permuted",
    failing("words"): "low resolution",
    failing("recall"): "forgets",
    rival("EXIF"): "rotated",
    rival("transparency"): "wrong colours",
    rival("16 bits"): "wrong colours",
    failing("system prompt"): "text breaks it",
    failing("tools"): "text breaks it",
    failing("JSON schema"): "text breaks it",
    rival("text in the image"): "swayed by text",
    rival("false premise"): "swayed by text",
}


def asked_of(answer, seed, mistakes=0.0, target=SERVER):
    """A whole run; each answer is another one with the probability of a mistake."""
    rng, looks = random.Random(seed), []
    answer.seed = seed
    while (series := next_series(looks, target)) is not None:
        if series == "long prompt":
            requests = [long_prompt(100, seed)]
        else:
            requests = requests_of(series, seed, is_canary=target.is_canary)
        before, part = [], []
        for request in requests:
            question = request.question
            text = answer(series, question, before)
            if rng.random() < mistakes:
                text = wrong_word(question)
            correct = not request.is_judged or says_the_answer(question, text)
            part.append(Look(request, text, correct))
            before.append(question)
            if is_decided(part):
                break
        looks += part
    return looks, conclude(looks)


@pytest.mark.parametrize("answer", FAULTY, ids=lambda answer: answer.__name__)
def test_a_planted_fault_is_named_whatever_the_images(answer):
    """In every run, within the number of requests."""
    for seed in range(5):
        looks, conclusion = asked_of(answer, seed)
        assert conclusion.name == FAULTY[answer], conclusion.sentence
        assert conclusion.sentence.startswith(conclusion.name)
        assert conclusion.verdict.evidence
        assert len(looks) <= MOST_REQUESTS


def test_an_image_that_is_stale_by_its_file_name_is_named():
    """Where images are files; also if the file was seen before this run."""
    for seed in range(5):
        assert asked_of(stale_by_file_name, seed, target=PROCESS)[1].name == "stale"
    assert asked_of(failing("file name", "black"), 1, target=PROCESS)[1].name == "stale"


@pytest.mark.parametrize("target", [SERVER, PROCESS])
@pytest.mark.parametrize("mistakes", [0.0, 0.05])
def test_a_sound_deployment_raises_no_alarm(mistakes, target):
    """One that errs now and then may be left undecided, and seldom is."""
    runs = [asked_of(right, seed, mistakes, target) for seed in range(RUNS)]
    names = [conclusion.name for _, conclusion in runs]
    assert sum(name not in ("sees", "cannot tell") for name in names) <= RUNS * mistakes / 2
    assert names.count("cannot tell") <= RUNS * mistakes
    assert max(len(looks) for looks, _ in runs) <= MOST_REQUESTS


def test_guesses_are_not_sight():
    """Answers of the right kind at random."""
    names = [asked_of(guessing, seed)[1].name for seed in range(RUNS)]
    assert names.count("sees") == 0
    assert names.count("blind") > RUNS / 2


def test_several_faults_are_all_told():
    """The first is the verdict, the others are told beside it."""

    def answer(series, question, before):
        return "nothing" if series in ("words", "recall") else question.answer

    _, conclusion = asked_of(answer, 1)
    assert conclusion.name == "low resolution"
    assert [finding.name for finding in conclusion.also] == ["forgets"]


def test_a_known_bug_is_named_and_decides_nothing():
    """And one that no longer shows is told too."""
    bug = KnownBug("exif", "", "p", "", ("*",), ("test_format",), "", "", "")

    def known(test):
        return (bug,) if test == "test_format[exif_rotated]" else ()

    looks, _ = asked_of(rival("EXIF"), 1)
    conclusion = conclude(looks, known)
    assert conclusion.name == "sees"
    assert [finding.bug for finding in conclusion.known_findings] == [bug]
    assert not conclusion.gone
    looks, _ = asked_of(right, 1)
    assert conclude(looks, known).gone == (bug,)


def test_a_model_is_asked_what_it_declares():
    """One image and no conversation: neither pairs nor memory; a canary what it has learnt."""
    model = Model("x", "x", 1, "", ("vision",), ())
    looks, conclusion = asked_of(right, 1, target=Target(model))
    assert conclusion.name == "sees"
    left_out = {"pairs", "three images", "four images", "recall", "tools", "JSON schema"}
    assert {look.series for look in looks} == {"colours", "shapes", *FAULTS} - left_out
    looks, _ = asked_of(right, 1, target=Target(MODEL, is_canary=True))
    assert not {"three images", "false premise"} & {look.series for look in looks}


def test_a_failure_decides_nothing():
    """It is the server's or the machine's until it is known whose it is."""
    (request, *_) = requests_of("colours", 1, is_canary=False)
    looks = [Look(request, "", correct=False, failure="crashed: the worker died")]
    assert next_series(looks, SERVER) is None
    assert conclude(looks).sentence == "cannot tell: crashed: the worker died"


@pytest.mark.parametrize("series", ["tools", "JSON schema", "long prompt", "four images", "recall"])
def test_a_refusal_of_what_is_optional_is_no_failure(series):
    """It may have no tools, take one image, or have been asked for too long a time."""
    looks, _ = asked_of(right, 1)
    looks = [
        replace(look, failure="refused", correct=False) if look.series == series else look
        for look in looks
    ]
    assert conclude(looks).name == "sees"


def test_the_error_of_the_first_kind_is_small():
    """As it is printed."""
    assert 0 < false_alarms() < 0.01
    assert false_alarms(0.99) < false_alarms(0.9)


def test_no_two_answers_in_a_row_are_equal():
    """Else an answer about the image before would be correct."""
    series = ("colours", "shapes", "words", "recall", "file name", "colours again", "16 bits")
    for name in series:
        for seed in range(20):
            answers = [question.answer for question in questions_of(name, seed)]
            assert all(a != b for a, b in pairwise(answers))


@pytest.mark.parametrize("series", ["three images", "four images"])
def test_images_that_are_asked_together_have_different_colours(series):
    """So that an order is told from another one."""
    for seed in range(20):
        for request in requests_of(series, seed, is_canary=False):
            words = request.question.answer.split()
            assert len(set(words)) == len(words) == len(request.question.scenes)
