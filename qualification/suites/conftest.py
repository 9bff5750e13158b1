"""Fixtures of the shipped suites alone: answers that several of them judge.

Each question is put to a deployment once in a run, and ``once`` stores the answer. The tests of the
model's other deployments compare their own answers with it, which is parity. A fixture that serves
a single test of a user's own (questions, limits, tasks) is in ``pytest_plugin/fixtures.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from qualification.judging.memory_growth import POLICIES, private_bytes
from qualification.suites.support.answers import AnsweredQuestion, Cache, Series, TimedRequest

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.declarations import Deployment
    from qualification.core.protocol import Generation, GivenAs, Message
    from qualification.session.deployed import Deployed
    from qualification.session.journal import Journal
    from qualification.suites.support.answers import (
        AskFixture,
        GetAnswers,
        GetPairs,
        GetQuestion,
        GetQuestions,
        GetSeries,
        Once,
    )
    from qualification.suites.support.bad_requests import BadRequest, Outcome
    from qualification.suites.support.raw_http import DeployedServer, HttpReply
    from qualification.tasks.questions import Question

MEMORY_QUESTIONS = 12
"""Memory questions: as many about each shape."""

TIMED_WORDS = 200
"""Words of a timed prompt without an image: about as many tokens as an image takes."""

SENTINELS = 3
"""Requests of a sentinel run; the run counts by their median."""

SERIES, CANARY_SERIES, CLEANED_SERIES, SIZES = 50, 30, 8, 5
"""Requests in a row of a real model, of a canary and with clean-up; sizes of their images."""

COUNTED, CANARY_COUNTED = 25, 20
"""Requests at the end of a series after which memory is read: all but the first two of a short one.

Earlier requests still fill caches: those of a canary in two rounds of the sizes.
"""

_CACHES = pytest.StashKey[dict[str, Cache]]()


@pytest.fixture
def caches(
    request: pytest.FixtureRequest,
    deployed: Deployed,
    _kept_answers: tuple[Journal, tuple[Deployment, ...]],
) -> dict[str, Cache]:
    """The cache of every deployment so far by identifier, those of a resumed run's first."""
    journal, answered_before = _kept_answers
    caches = request.config.stash.setdefault(_CACHES, {})
    for deployment in (*answered_before, deployed.deployment):
        if deployment.identifier not in caches:
            caches[deployment.identifier] = Cache(deployment, journal)
    return caches


@pytest.fixture
def once(deployed: Deployed, caches: dict[str, Cache]) -> Once:
    """``once(name, make)``: the result of ``make()`` at the first call for this deployment."""
    return caches[deployed.identifier].once


@pytest.fixture
def skills(deployed: Deployed) -> tuple[str, ...]:
    """The skills that the model declares, or those of all its capabilities."""
    from qualification.tasks.questions import skills_of

    return skills_of(deployed.deployment.model)


@pytest.fixture
def plain_skill(deployed: Deployed) -> str:
    """The skill of a question about nothing in particular; without an image for a text model."""
    from qualification.tasks.questions import plain_skill

    return plain_skill(deployed.deployment.model)


@pytest.fixture
def ask(deployed: Deployed) -> AskFixture:
    """``ask(question)``: greedy, with the logit margin of each token.

    ``with_images=False`` leaves out its images; ``file=`` and ``given_as=`` replace them with
    another file.
    """

    def answer(
        question: Question,
        *,
        file: Path | None = None,
        given_as: GivenAs = "path",
        with_images: bool = True,
        margins: bool = True,
    ) -> AnsweredQuestion:
        messages = deployed.messages(question, images=None if with_images else ())
        if file is not None:
            messages = tuple(_with_file(message, file, given_as) for message in messages)
        generation = deployed.converse(*messages, margins=margins)
        return AnsweredQuestion(
            question, generation, deployed.is_correct(question, generation.text.strip())
        )

    return answer


@pytest.fixture
def answers(once: Once, ask: AskFixture, memory_answers: GetPairs) -> GetAnswers:
    """``answers(skill)``: eight held-out questions of a skill, asked once for all suites."""
    from qualification.tasks.questions import MEMORY_SKILLS, asked_once

    def of_skill(skill: str) -> tuple[AnsweredQuestion, ...]:
        if skill in MEMORY_SKILLS:
            return tuple(answer for answer, _ in memory_answers())
        return tuple(
            once(f"{skill} {number}", partial(ask, question), AnsweredQuestion)
            for number, question in enumerate(asked_once(skill))
        )

    return of_skill


@pytest.fixture
def memory_answers(
    once: Once, ask: AskFixture, questions: GetQuestions, deployed: Deployed
) -> GetPairs:
    """``memory_answers()``: memory questions, each asked again at once without what it is about.

    That is the image, of a text model the turns before. All answers are equally frequent, so
    guessing is correct one time in three, about a text one time in eight.
    """
    from qualification.tasks.questions import memory_skill

    skill = memory_skill(deployed.deployment.model)

    def without(question: Question) -> AnsweredQuestion:
        if question.scenes:
            return ask(question, with_images=False)
        return ask(replace(question, history=()))

    def pairs() -> list[tuple[AnsweredQuestion, AnsweredQuestion]]:
        by_answer: dict[str, list[Question]] = {}
        for question in questions(seed=7, count=5 * MEMORY_QUESTIONS, skills=[skill]):
            by_answer.setdefault(question.answer, []).append(question)
        count = MEMORY_QUESTIONS // len(by_answer)
        balanced = [question for equal in by_answer.values() for question in equal[:count]]
        return [
            (
                once(f"{skill} {number}", partial(ask, question), AnsweredQuestion),
                once(f"{skill} {number} without", partial(without, question), AnsweredQuestion),
            )
            for number, question in enumerate(balanced)
        ]

    return pairs


@pytest.fixture
def answerable(answers: GetAnswers) -> GetQuestion:
    """``answerable(skill)``: a question that is answered correctly under plain conditions."""

    def of_skill(skill: str) -> Question:
        tried = answers(skill)
        for answer in tried:
            if answer.is_correct:
                return answer.question
        pytest.fail(f"none of {len(tried)} {skill} questions is answered correctly: {tried[0]}")

    return of_skill


@pytest.fixture
def series(
    once: Once, ask: AskFixture, questions: GetQuestions, deployed: Deployed, plain_skill: str
) -> GetSeries:
    """``series("never")``: requests in a row, images of five sizes (or five texts) in turn.

    ``series("after_each")`` and ``series("under_pressure")``: eight requests with that policy of
    cleaning up. ``again=True`` runs a new series and does not store it.
    """

    def make(policy: str) -> Series:
        by_size: dict[object, Question] = {}
        for question in questions(seed=23, count=8 * SIZES, skills=[plain_skill]):
            sizes_of = tuple((scene.width, scene.height) for scene in question.scenes)
            by_size.setdefault(sizes_of or question.prompt, question)
        in_turn = list(by_size.values())[:SIZES]
        answers, sizes = [], []
        length, counted = SERIES, COUNTED
        if deployed.is_canary:
            length, counted = CANARY_SERIES, CANARY_COUNTED
        if policy != "never":
            length = CLEANED_SERIES
        for number in range(length):
            answers.append(ask(in_turn[number % len(in_turn)], margins=False))
            if POLICIES[policy](psutil.virtual_memory().percent):
                deployed.clean_up()
            if deployed.is_managed and number >= max(2, length - counted):
                sizes.append(private_bytes(deployed.memory()))
        return Series(tuple(answers), tuple(sizes))

    def run(policy: str, *, again: bool = False) -> Series:
        if again:
            return make(policy)
        return once(f"series {policy}", lambda: make(policy), Series)

    return run


@pytest.fixture
def timed_request(questions: GetQuestions, deployed: Deployed) -> TimedRequest:
    """A prompt to be timed, and a second one to warm up with.

    The second has the same size, so every kernel is compiled and every buffer allocated. It has a
    different image, or different words, so no answer, prompt or encoded image can be reused.
    """
    from qualification.tasks.questions import sees, word_list

    if not sees(deployed.deployment.model):
        return TimedRequest((word_list(19, TIMED_WORDS),), (word_list(20, TIMED_WORDS),))
    candidates = questions(seed=19, count=40, skills=["both"])
    image = candidates[0].images()[0]
    for candidate in candidates[1:]:
        warm_up = candidate.images()[0]
        if warm_up.size == image.size and warm_up.tobytes() != image.tobytes():
            prompt = candidates[0].prompt
            return TimedRequest((prompt, warm_up), (prompt, image))
    pytest.fail(f"no two of {len(candidates)} images have {image.size} pixels")


@pytest.fixture
def sentinel(
    deployed: Deployed, timed_request: TimedRequest, fixed_length: int
) -> Callable[[], tuple[float, ...]]:
    """``sentinel()``: decoding speed of the same warmed-up request in tok/s, without bursts."""

    def generate(prompt: str, *images: Image.Image) -> Generation:
        return deployed.generate(prompt, *images, max_tokens=fixed_length, fixed_length=True)

    def run() -> tuple[float, ...]:
        generate(*timed_request.warm_up)
        runs = [generate(*timed_request.measured) for _ in range(SENTINELS)]
        return tuple(run.decode_tps for run in runs if run.has_speed)

    return run


@pytest.fixture
def two_processes(
    once: Once, ask: AskFixture, answers: GetAnswers, skills: tuple[str, ...], deployed: Deployed
) -> GetPairs:
    """``two_processes()``: answers of the process so far, and of a fresh one.

    The fresh process is asked in reverse order, so each question follows different requests.
    """

    def make() -> list[tuple[AnsweredQuestion, AnsweredQuestion]]:
        warm = [answers(skill)[0] for skill in skills]
        deployed.reload()
        fresh = [ask(answer.question) for answer in reversed(warm)]
        return list(zip(warm, reversed(fresh), strict=True))

    return lambda: once("two processes", make, list[tuple[AnsweredQuestion, AnsweredQuestion]])


@pytest.fixture
def server(deployed: Deployed) -> Iterator[DeployedServer]:
    """The deployment's server, for raw HTTP; started again if an earlier request ended it."""
    from qualification.suites.support.raw_http import DeployedServer

    server = DeployedServer(deployed)
    if not server.is_alive:
        server.start_again()
    yield server
    server.close()


@pytest.fixture
def whole_reply(
    once: Once, server: DeployedServer, answerable: GetQuestion, plain_skill: str
) -> HttpReply:
    """The answer to an answerable question, not streamed."""
    from qualification.suites.support.raw_http import HttpReply

    reply = once(
        "whole reply", lambda: server.chat(server.turns(answerable(plain_skill))), HttpReply
    )
    if reply.status != 200 or not reply.text.strip():
        pytest.fail(f"a plain question was answered with {reply}")
    return reply


@pytest.fixture
def streamed_reply(
    once: Once, server: DeployedServer, answerable: GetQuestion, plain_skill: str
) -> HttpReply:
    """The answer to the same question, streamed, with its usage."""
    from qualification.suites.support.raw_http import HttpReply

    usage = {"include_usage": True}
    return once(
        "streamed reply",
        lambda: server.stream(server.turns(answerable(plain_skill)), stream_options=usage),
        HttpReply,
    )


@pytest.fixture
def bad_requests(deployed: Deployed) -> tuple[BadRequest, ...]:
    """The bad requests that concern this model: one of text alone gets none with an image."""
    from qualification.suites.support.bad_requests import BAD_REQUESTS
    from qualification.tasks.questions import sees

    with_images = sees(deployed.deployment.model)
    return tuple(case for case in BAD_REQUESTS if with_images or not case.has_image)


@pytest.fixture
def try_request(
    once: Once,
    server: DeployedServer,
    deployed: Deployed,
    answerable: GetQuestion,
    plain_skill: str,
    tmp_path: Path,
) -> Callable[[BadRequest], Outcome]:
    """``try_request(request)``: the outcome of a bad request and of a good one after it."""
    from qualification.suites.support.bad_requests import Outcome

    def send(request: BadRequest) -> Outcome:
        question = answerable(plain_skill)
        before = server.peak_memory_bytes()
        reply = request.send(server, tmp_path)
        next_reply = server.ask(question)
        harm = ""
        if not deployed.is_correct(question, next_reply.text.strip()):
            harm = f"{question.prompt} -> {next_reply}, expected {question.answer!r}"
        if next_reply.status == 0:  # it has ended, or it hangs
            server.start_again()
            return Outcome(reply, harm, 0)
        return Outcome(reply, harm, server.peak_memory_bytes() - before)

    return lambda request: once(f"bad request {request.name}", lambda: send(request), Outcome)


def _with_file(message: Message, file: Path, given_as: GivenAs) -> Message:
    parts = tuple(
        replace(part, value=str(file), given_as=given_as) if part.kind == "image" else part
        for part in message.parts
    )
    return replace(message, parts=parts)
