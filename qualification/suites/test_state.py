"""Does a request leave anything behind that changes the next one?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import BackendFailed
from qualification.judging.stats.estimators import is_beyond_chance
from qualification.suites.support.hypothesis_settings import FEW
from qualification.tasks.questions import sees

if TYPE_CHECKING:
    from pathlib import Path

    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import (
        AnsweredQuestion,
        AskFixture,
        GetPairs,
        GetQuestion,
        GetQuestions,
        GetSeries,
    )
    from qualification.tasks.questions import Question

pytestmark = pytest.mark.suite("state", "a request leaves nothing behind")


def test_another_image_between_changes_nothing(
    deployed: Deployed, questions: GetQuestions, plain_skill: str
) -> None:
    """Image A, image B, image A again (or texts): the third answer equals the first."""
    question, interlude = questions(seed=13, count=2, skills=[plain_skill])
    before = deployed.answer(question)
    between = deployed.answer(interlude)
    after = deployed.answer(question)
    assert after == before, f"{before!r}, then {after!r} after another question ({between!r})"


@pytest.mark.needs("vision")
def test_sizes_in_turn_change_nothing(ask: AskFixture, questions: GetQuestions) -> None:
    """Small, wide, small, tall, small: each image's answer and prompt stay the same."""
    by_size: dict[tuple[int, int], Question] = {}
    for question in questions(seed=13, count=60, skills=["both"]):
        by_size.setdefault((question.scenes[0].width, question.scenes[0].height), question)
    small, wide, tall = by_size[84, 84], by_size[168, 84], by_size[84, 140]
    before = ask(small)
    for question in (wide, tall):
        ask(question)
        _assert_equal(before, ask(small), "after an image of another size")


def test_many_requests_in_a_row(series: GetSeries) -> None:
    """Five questions over and over: every round is answered like the first one."""
    answers = series("never").answers
    by_question: dict[str, AnsweredQuestion] = {}
    for number, answer in enumerate(answers, start=1):
        before = by_question.setdefault(answer.question.identifier, answer)
        _assert_equal(before, answer, f"as request {number} of {len(answers)}")


@pytest.mark.managed
def test_a_fresh_process_answers_alike(two_processes: GetPairs) -> None:
    """A process that has answered for a while answers like a fresh one."""
    for warm, fresh in two_processes():
        _assert_equal(fresh, warm, "in a process that had answered for a while")


@pytest.mark.needs("vision")
def test_a_failed_request_harms_nothing(
    deployed: Deployed, ask: AskFixture, answerable: GetQuestion, tmp_path: Path
) -> None:
    """A file that is not an image is refused, and the next image is answered as before."""
    file = tmp_path / "no-image.png"
    file.write_text("this is no picture")
    question = answerable("both")
    before = ask(question)
    try:
        generation = deployed.generate(question.prompt, file)
    except BackendFailed:
        pass
    else:
        pytest.fail(f"a file that is not an image was answered about: {generation.text!r}")
    _assert_equal(before, ask(question), "after a request that failed")


@pytest.mark.needs("multi_turn")
def test_an_earlier_requests_image_is_forgotten(memory_answers: GetPairs) -> None:
    """Asked again without the image (or the turns before), it answers no better than by chance."""
    answers = [answer for _, answer in memory_answers()]
    correct = sum(answer.is_correct for answer in answers)
    chance = 1 / len({answer.question.answer for answer in answers})
    assert not is_beyond_chance(correct, len(answers), chance), (
        f"{correct} of {len(answers)} correct about what only an earlier request had"
    )


def test_any_order_of_requests_is_answered_alike(
    deployed: Deployed,
    ask: AskFixture,
    questions: GetQuestions,
    plain_skill: str,
    tmp_path: Path,
) -> None:
    """Images, texts, failures and clean-ups in any order: an answer depends on its question."""
    model = deployed.deployment.model
    plain = questions(seed=31, count=3, skills=[plain_skill])
    by_step = {f"question {number}": question for number, question in enumerate(plain)}
    if "text_only" in model.capabilities and sees(model):
        by_step["text"] = questions(seed=31, count=1, skills=["text"])[0]
    failure = ["failure"] if sees(model) else []
    broken = tmp_path / "no-image.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    answers: dict[str, AnsweredQuestion] = {}

    def act(step: str) -> None:
        if step == "clean up":
            deployed.clean_up()
        elif step == "failure":
            with pytest.raises(BackendFailed):
                deployed.generate("What colour is the shape?", broken)
        else:
            answer = ask(by_step[step])
            _assert_equal(answers.setdefault(step, answer), answer, "after other requests")

    @FEW
    @given(st.lists(st.sampled_from([*by_step, *failure, *by_step]), min_size=3, max_size=6))
    def holds(steps: list[str]) -> None:
        for step in steps:
            act(step)

    holds()
    act("clean up")
    for step in by_step:
        act(step)


@pytest.mark.needs("vision")
@pytest.mark.needs_workaround("reload_per_image")
def test_reloading_for_each_image(deployed: Deployed, questions: GetQuestions) -> None:
    """The workaround of loading again for each image works; its cost is recorded."""
    for question in questions(seed=29, count=3, skills=["colour"]):
        start = time.perf_counter()
        deployed.reload()
        deployed.record("reload_s", time.perf_counter() - start)
        answer = deployed.answer(question)
        assert deployed.is_correct(question, answer), (
            f"in a fresh process: {question.prompt} -> {answer!r}, expected {question.answer!r}"
        )


def _assert_equal(before: AnsweredQuestion, after: AnsweredQuestion, when: str) -> None:
    ours, theirs = after.generation, before.generation
    equal = (ours.text, ours.token_ids, ours.prompt_tokens) == (
        theirs.text,
        theirs.token_ids,
        theirs.prompt_tokens,
    )
    assert equal, (
        f"{after.question.prompt!r} of {after.question.identifier} -> {ours.text!r} {when}, "
        f"{theirs.text!r} before; prompts of {ours.prompt_tokens} and {theirs.prompt_tokens} tokens"
    )
