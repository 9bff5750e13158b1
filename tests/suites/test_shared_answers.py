"""Answers that several tests judge: asked for once in a session, however often it is resumed."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.protocol import Generation
from qualification.session.journal import Journal
from qualification.suites.support.answers import AnsweredQuestion, Cache, Series
from qualification.suites.support.bad_requests import Outcome
from qualification.suites.support.raw_http import HttpReply
from qualification.tasks.questions import ALL_SKILLS, asked_once

NAME = "toy-f32@mlx"


def cache(journal):
    """Of one deployment in a process that has begun."""
    return Cache(SimpleNamespace(identifier=NAME), journal)


def in_another_process(journal):
    """What is left of a journal after it was written to the disk and read again."""
    return Journal(answers=json.loads(json.dumps(journal.answers)))


def answered(question):
    """An answer to it with everything that a backend may say."""
    generation = Generation("red", (0.1, 0.25), 0.3, 12, 4, "stop", (5, 6), (2.5, float("inf")))
    return AnsweredQuestion(question, generation, True)


VALUES = {
    **{skill: (answered(asked_once(skill)[0]), AnsweredQuestion) for skill in ALL_SKILLS},
    "series": (Series((answered(asked_once("text")[0]),), (10**9, 2)), Series),
    "outcome": (Outcome(HttpReply(500, "text/html", b"\xff\x00", ("a",)), "", 3), Outcome),
    "names": (frozenset({("q1", True)}), frozenset[tuple[str, bool]]),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_kept_answer_is_the_same_after_a_resume(name):
    """Question, scenes, times, margins without a limit, and bytes that are no text."""
    value, kind = VALUES[name]
    journal = Journal()
    cache(journal).once(name, lambda: value, kind)
    again = cache(in_another_process(journal)).once(name, lambda: pytest.fail("asked again"), kind)
    assert again == value


def test_answers_of_a_skill_are_kept_one_by_one():
    """A process that is killed between two loses none."""
    journal = Journal()
    questions = asked_once("colour")
    for number, question in enumerate(questions[:3]):
        cache(journal).once(f"colour {number}", lambda q=question: answered(q), AnsweredQuestion)
    again = cache(in_another_process(journal)).answers("colour")
    assert [answer.question for answer in again] == questions[:3]


def test_what_belongs_to_the_process_is_made_anew():
    """A speed is not kept: it has no type."""
    journal = Journal()
    cache(journal).once("sentinel", lambda: (1.0,))
    assert cache(in_another_process(journal)).once("sentinel", lambda: (2.0,)) == (2.0,)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_a_kept_answer_of_another_kind_is_asked_for_again(value):
    """One that another release wrote, or somebody changed."""
    journal = Journal(answers={NAME: {"colour 0": value}})
    mine = answered(asked_once("colour")[0])
    assert cache(journal).once("colour 0", lambda: mine, AnsweredQuestion) == mine
