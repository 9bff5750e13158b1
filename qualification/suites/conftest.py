"""What the suites share: questions that were answered once are judged by several of them.

Every deployment is asked each thing once in a run; ``once`` keeps what came. The tests of the
other deployments of a model find it there too, which is what parity is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from qualification.judging.memory_growth import POLICIES, held_bytes

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.declarations import Deployment
    from qualification.core.protocol import Generation, GivenAs, Message
    from qualification.session.deployed import Deployed
    from qualification.suites.support.bad_requests import BadRequest, Tried
    from qualification.suites.support.raw_http import Reply, Served
    from qualification.tasks.questions import Question

ASKED, RECALLED = 8, 12
"""Questions of each skill, and of recall, where as many are of each shape."""

SENTINELS = 3
"""Requests of a sentinel run; their median counts."""

ROW, CLEANED_UP, SIZES = 50, 8, 5
"""Requests in a row, those of them that are cleaned up after, and sizes of their pictures."""


@dataclass(frozen=True)
class Answered:
    """A question, what came, and whether it is right."""

    question: Question
    generation: Generation
    right: bool

    def __str__(self) -> str:
        question = self.question
        return (
            f"{question.prompt} -> {self.generation.text.strip()!r}, expected {question.answer!r}"
        )


@dataclass(frozen=True)
class Row:
    """Requests of one kind in a row, and the bytes that the process held after each."""

    answered: tuple[Answered, ...]
    held_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Pair:
    """A prompt with two pictures of one size: to warm up with, and to measure with."""

    prompt: str
    warm_up: Image.Image
    picture: Image.Image


@dataclass
class Kept:
    """What one deployment was asked in this run, under the name of each thing."""

    deployment: Deployment
    things: dict[str, Any] = field(default_factory=dict)


_KEPT = pytest.StashKey[dict[str, Kept]]()


@pytest.fixture
def kept(request: pytest.FixtureRequest, deployed: Deployed) -> dict[str, Kept]:
    """What was kept of every deployment so far, by identifier, this one's at the end."""
    of_all = request.config.stash.setdefault(_KEPT, {})
    of_all.setdefault(deployed.identifier, Kept(deployed.deployment))
    return of_all


@pytest.fixture
def once(deployed: Deployed, kept: dict[str, Kept]) -> Callable[..., Any]:
    """``once(name, make)``: what ``make()`` gave the first time that this deployment was asked."""
    things = kept[deployed.identifier].things

    def first(name: str, make: Callable[[], Any]) -> Any:
        if name not in things:
            things[name] = make()
        return things[name]

    return first


@pytest.fixture
def skills(deployed: Deployed) -> tuple[str, ...]:
    """The skills that the model declares, or those of all its capabilities."""
    from qualification.tasks.questions import skills_of

    return skills_of(deployed.deployment.model)


@pytest.fixture
def ask(deployed: Deployed) -> Callable[..., Answered]:
    """``ask(question)``: greedy, with the margin of each token.

    ``with_pictures=False`` leaves its pictures out; ``file=`` and ``given_as=`` put another file
    in their place.
    """

    def asked(
        question: Question,
        *,
        file: Path | None = None,
        given_as: GivenAs = "path",
        with_pictures: bool = True,
        margins: bool = True,
    ) -> Answered:
        messages = deployed.messages(question, with_pictures=with_pictures)
        if file is not None:
            messages = tuple(_showing(message, file, given_as) for message in messages)
        generation = deployed.converse(*messages, margins=margins)
        return Answered(question, generation, deployed.is_right(question, generation.text.strip()))

    return asked


@pytest.fixture
def answered(once, ask, questions, recalled) -> Callable[[str], tuple[Answered, ...]]:
    """``answered(skill)``: eight held-out questions of a skill, asked once for all suites."""

    def of(skill: str) -> tuple[Answered, ...]:
        if skill == "recall":
            return once(skill, lambda: tuple(shown for shown, _ in recalled()))
        return once(
            skill,
            lambda: tuple(ask(each) for each in questions(seed=7, count=ASKED, skills=[skill])),
        )

    return of


@pytest.fixture
def recalled(once, ask, questions) -> Callable[[], list[tuple[Answered, Answered]]]:
    """``recalled()``: recall questions, each at once again with the picture left out.

    As many are of each shape, so that whoever knows nothing is right one time in three.
    """

    def make() -> list[tuple[Answered, Answered]]:
        by_shape: dict[str, list[Question]] = {}
        for question in questions(seed=7, count=5 * RECALLED, skills=["recall"]):
            by_shape.setdefault(question.answer, []).append(question)
        each = RECALLED // len(by_shape)
        asked = [question for several in by_shape.values() for question in several[:each]]
        return [(ask(question), ask(question, with_pictures=False)) for question in asked]

    return lambda: once("recalled", make)


@pytest.fixture
def known(answered) -> Callable[[str], Question]:
    """``known(skill)``: a question that is answered rightly where nothing special is done."""

    def of(skill: str) -> Question:
        asked = answered(skill)
        for each in asked:
            if each.right:
                return each.question
        pytest.fail(f"of {len(asked)} {skill} questions none is answered rightly: {asked[0]}")

    return of


@pytest.fixture
def row(once, ask, questions, deployed) -> Callable[..., Row]:
    """``row("never")``: fifty requests in a row, pictures of five sizes in turn.

    ``row("after_each")`` and ``row("under_pressure")``: eight, with that policy of cleaning up.
    ``again=True`` asks once more and keeps nothing.
    """

    def of(policy: str, *, again: bool = False) -> Row:
        def make() -> Row:
            by_size: dict[tuple[int, int], Question] = {}
            for question in questions(seed=23, count=8 * SIZES, skills=["both"]):
                scene = question.scenes[0]
                by_size.setdefault((scene.width, scene.height), question)
            asked = list(by_size.values())[:SIZES]
            count = ROW if policy == "never" else CLEANED_UP
            answers, held = [], []
            for number in range(count):
                answers.append(ask(asked[number % len(asked)], margins=False))
                if POLICIES[policy](psutil.virtual_memory().percent):
                    deployed.clean_up()
                held.append(held_bytes(deployed.memory()) if deployed.is_owned else 0)
            return Row(tuple(answers), tuple(held))

        return make() if again else once(f"row {policy}", make)

    return of


@pytest.fixture
def pair(questions) -> Pair:
    """A request to be timed, and another picture of the same shape to warm up with.

    Of the same size, so that every kernel is compiled and every buffer taken; another one, so that
    no answer, prompt or encoded picture can be reused.
    """
    some = questions(seed=19, count=40, skills=["both"])
    first = some[0].images()[0]
    for other in some[1:]:
        picture = other.images()[0]
        if picture.size == first.size and picture.tobytes() != first.tobytes():
            return Pair(some[0].prompt, picture, first)
    pytest.fail(f"no two of {len(some)} pictures are of {first.size} pixels")


@pytest.fixture
def sentinel(deployed, pair, fixed_length) -> Callable[[], tuple[float, ...]]:
    """``sentinel()``: decoding speed of one and the same request, warmed up, in tok/s."""

    def run() -> tuple[float, ...]:
        def ask(picture: Image.Image) -> Generation:
            return deployed.generate(
                pair.prompt, picture, max_tokens=fixed_length, fixed_length=True
            )

        ask(pair.warm_up)
        return tuple(ask(pair.picture).decode_tps for _ in range(SENTINELS))

    return run


@pytest.fixture
def two_processes(once, ask, answered, skills, deployed) -> Callable[[], list[Any]]:
    """``two_processes()``: a question of each skill as answered before and in a fresh process.

    In the fresh process they come the other way round, so each has other requests before it.
    """

    def make() -> list[tuple[Answered, Answered]]:
        worn = [answered(skill)[0] for skill in skills]
        deployed.reload()
        fresh = [ask(each.question) for each in reversed(worn)]
        return list(zip(worn, reversed(fresh), strict=True))

    return lambda: once("two processes", make)


@pytest.fixture
def served(deployed) -> Iterator[Served]:
    """The deployment's server, for raw HTTP; started again where an earlier request ended it."""
    from qualification.suites.support.raw_http import Served

    server = Served(deployed)
    if not server.is_alive:
        server.start_again()
    yield server
    server.close()


@pytest.fixture
def whole(once, served, known) -> Reply:
    """The answer to a known question, in one piece."""
    reply = once("whole", lambda: served.chat(served.turns(known("both"))))
    if reply.status != 200 or not reply.text.strip():
        pytest.fail(f"a plain question was answered with {reply}")
    return reply


@pytest.fixture
def streamed(once, served, known) -> Reply:
    """The answer to the same question, streamed, with its usage."""
    usage = {"include_usage": True}
    return once(
        "streamed", lambda: served.stream(served.turns(known("both")), stream_options=usage)
    )


@pytest.fixture
def tried(once, served, deployed, known, tmp_path) -> Callable[[BadRequest], Tried]:
    """``tried(request)``: what came of a bad request, and of a good one behind it."""
    from qualification.suites.support.bad_requests import Tried

    def send(request: BadRequest) -> Tried:
        question = known("both")
        before = served.peak_memory_bytes()
        reply = request.send(served, tmp_path)
        _, next_reply = served.ask(question)
        harm = ""
        if not deployed.is_right(question, next_reply.text.strip()):
            harm = f"{question.prompt} -> {next_reply}, expected {question.answer!r}"
        if next_reply.status == 0:  # it has ended, or it hangs
            served.start_again()
            return Tried(reply, harm, 0)
        return Tried(reply, harm, served.peak_memory_bytes() - before)

    return lambda request: once(f"bad request {request.name}", lambda: send(request))


def _showing(message: Message, file: Path, given_as: GivenAs) -> Message:
    parts = tuple(
        replace(part, value=str(file), given_as=given_as) if part.kind == "image" else part
        for part in message.parts
    )
    return replace(message, parts=parts)
