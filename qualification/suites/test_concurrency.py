"""Is each of several simultaneous clients answered, correctly, and about its own image?"""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable, Sequence
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from qualification.core.metrics import CLIENTS
from qualification.core.protocol import GenerateRequest
from qualification.judging.stats.estimators import is_beyond_chance
from qualification.servers.client import authorization
from qualification.servers.load import ClientReply, LoadLimits, Script, run_clients
from qualification.servers.load_figures import JudgedReply, description, judged, raw_trials, starved
from qualification.servers.programs import PROGRAMS
from qualification.tasks.load_script import Asking, all_of, deal

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import GetQuestions, Once
    from qualification.tasks.questions import Question

pytestmark = [
    pytest.mark.suite(
        "concurrency", "several clients of a server at once, each with images of its own"
    ),
    pytest.mark.needs("vision"),
    pytest.mark.on_backends("server"),
]

CANARY, REAL = LoadLimits(1.5, 3, 60.0), LoadLimits(30.0, 3, 900.0)
"""A canary's answer takes some hundredths of a second, a real model's seconds."""

CANARY_TOKENS, REAL_TOKENS = 16, 64
"""Tokens of the long answers; real models' decoding speed comes from these."""

ONE_IN_A_HUNDRED = 0.01
"""Share of a real model's answers that may change when its requests are computed together."""

LONG_PROMPT = "Describe this picture in detail."

OPEN_S = 0.5
"""Seconds after an answer during which a connection that was promised to stay must be open."""

SHOWN = 3
"""Failures of each load that are reported in full."""

_Loads = Callable[[], list[tuple[int, tuple[JudgedReply, ...]]]]
_Dealt = tuple[tuple["Question", ...], ...]
_Prompts = dict[str, tuple[str, str]]
_IsCorrect = Callable[[str, ClientReply], bool]
_RunLoad = Callable[[Sequence[Script], LoadLimits], tuple[ClientReply, ...]]


def test_every_request_is_answered(loads: _Loads, prompts: _Prompts) -> None:
    """However many clients ask at once, no request is refused, dropped or left waiting."""
    problems = []
    for clients, answers in loads():
        lost = [answer for answer in answers if answer.reply.error]
        problems += _problem(f"at {clients} clients", "failed", lost, answers, prompts)
    if problems:
        pytest.fail("\n".join(problems))


def test_each_client_is_told_of_its_own_image(
    loads: _Loads, prompts: _Prompts, deployed: Deployed
) -> None:
    """A question that one client alone gets answered correctly is answered correctly under load.

    No answer goes to another client.
    """
    problems = []
    for clients, answers in loads():
        wrong = [answer for answer in answers if answer.is_correct is False]
        judged_at_all = sum(answer.is_correct is not None for answer in answers)
        # The last digits of a sum depend on the requests in the same batch.
        if deployed.is_canary or is_beyond_chance(len(wrong), judged_at_all, ONE_IN_A_HUNDRED):
            wrong.sort(key=lambda answer: answer.swapped_with is None)
            when, verdict = f"at {clients} clients", "were answered incorrectly"
            problems += _problem(when, verdict, wrong, answers, prompts)
    if problems:
        pytest.fail("\n".join(problems))


def test_no_client_starves(loads: _Loads) -> None:
    """While all clients ask, each gets answers: none waits endlessly while another is served."""
    problems = [
        f"at {clients} clients: client {client} had no answer while another one had several"
        for clients, answers in loads()
        for client in starved([answer.reply for answer in answers], clients)
    ]
    if problems:
        pytest.fail("\n".join(problems))


def test_a_connection_is_as_open_as_promised(
    deployed: Deployed, dealt: _Dealt, asking: Asking
) -> None:
    """After a streamed answer the connection stays open, unless the answer announced its end.

    A client that reuses a connection which was closed without notice loses that request now and
    then.
    """
    place = urlsplit(deployed.load_report.address)
    assert place.hostname is not None
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    connection = kind(place.hostname, place.port, timeout=CANARY.deadline_s)
    ask = asking.script(dealt[0], load=len(CLIENTS) + 1)(1)
    body = {
        "model": deployed.load_report.served_as,
        "messages": ask.messages,
        "max_tokens": 4,
        "stream": True,
        **ask.extra,
    }
    address = deployed.load_report.address
    headers = {"Content-Type": "application/json", "Authorization": authorization(address)}
    with contextlib.closing(connection):
        connection.request("POST", f"{place.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, f"a streamed request was answered {response.status}"
        if response.will_close or connection.sock is None:
            return
        readable, _, _ = select.select([connection.sock], [], [], OPEN_S)
        promise = response.headers.get("Keep-Alive") or "HTTP/1.1 without Connection: close"
        if readable and not connection.sock.recv(1):
            pytest.fail(
                "the server closed the connection after a streamed answer, "
                f"though it had promised to keep it ({promise})"
            )


@pytest.fixture
def dealt(questions: GetQuestions, skills: tuple[str, ...]) -> _Dealt:
    """The questions of each of eight clients: two each, whose answers no other client has."""
    skill = next((name for name in ("both", "word") if name in skills), None)
    if skill is None:
        pytest.skip("its skills have too few different answers for so many clients")
    return deal(questions(seed=43, count=400, skills=[skill]), max(CLIENTS))


@pytest.fixture
def asking(deployed: Deployed) -> Asking:
    """How questions are put to this server, with the fields that only its program has."""
    tokens = CANARY_TOKENS if deployed.is_canary else REAL_TOKENS
    short = deployed.deployment.model.generation.max_tokens
    program = PROGRAMS.get(deployed.deployment.source.server)

    def extra(count: int, *, fixed_length: bool) -> dict[str, Any]:
        if program is None:
            return {}
        request = GenerateRequest((), count, fixed_length=fixed_length)
        # A program that is asked by the name of a folder has its model in that folder.
        fields = program.extra  # ruff takes a call of that name for Django's
        return fields(request, Path(deployed.load_report.served_as))

    return Asking(
        deployed.messages,
        max_tokens=short,
        long_tokens=tokens,
        extra=extra(short, fixed_length=False),
        long_extra=extra(tokens, fixed_length=True),
        long_prompt="" if deployed.is_canary else LONG_PROMPT,
    )


@pytest.fixture
def is_correct(deployed: Deployed, dealt: _Dealt) -> _IsCorrect:
    """``is_correct(question, reply)``: a canary's long answer goes on after the correct one."""
    by_name = {question.identifier: question for question in sum(dealt, ())}

    def answers_it(name: str, reply: ClientReply) -> bool:
        question, text = by_name[name], reply.text.strip()
        if reply.long:
            return text.lower().startswith(question.answer)
        return deployed.is_correct(question, text)

    return answers_it


@pytest.fixture
def run_load(deployed: Deployed) -> _RunLoad:
    """``run_load(scripts, limits)``: every reply; a server that has ended is restarted first."""

    def run(scripts: Sequence[Script], limits: LoadLimits) -> tuple[ClientReply, ...]:
        if not _listens(deployed.load_report.address):
            deployed.reload()
        report = deployed.load_report
        return run_clients(report.address, report.served_as, scripts, limits)

    return run


@pytest.fixture
def answerable_alone(
    once: Once,
    run_load: _RunLoad,
    dealt: _Dealt,
    asking: Asking,
    is_correct: _IsCorrect,
    prompts: _Prompts,
    deployed: Deployed,
) -> frozenset[tuple[str, bool]]:
    """Questions that one client alone gets answered correctly, each with whether it is long."""

    def make() -> frozenset[tuple[str, bool]]:
        script = asking.script(sum(dealt, ()), load=0, pattern=all_of(dealt))
        limits = CANARY if deployed.is_canary else REAL
        alone = run_load([script], LoadLimits(0.0, len(all_of(dealt)), limits.deadline_s))
        lost = [reply for reply in alone if reply.error]
        if lost:
            pytest.fail(f"one client alone: {description(JudgedReply(lost[0], None), prompts)}")
        correct = [reply.question for reply in alone if is_correct(reply.question, reply)]
        if not correct:
            example = description(JudgedReply(alone[0], False), prompts)
            pytest.fail(f"one client alone has no correct answer: {example}")
        # A real model's long answer replies to a prompt of its own and cannot be judged.
        kinds = (False, True) if deployed.is_canary else (False,)
        return frozenset((name, long) for name in correct for long in kinds)

    return once("answerable alone", make, frozenset[tuple[str, bool]])


@pytest.fixture
def loads(
    once: Once,
    run_load: _RunLoad,
    answerable_alone: frozenset[tuple[str, bool]],
    dealt: _Dealt,
    asking: Asking,
    is_correct: _IsCorrect,
    deployed: Deployed,
) -> _Loads:
    """``loads()``: number of clients and judged replies of one load after the other.

    The figures of each load are recorded.
    """

    def load(number: int, clients: int) -> tuple[int, tuple[JudgedReply, ...]]:
        scripts = [asking.script(questions, load=number) for questions in dealt[:clients]]
        replies = run_load(scripts, CANARY if deployed.is_canary else REAL)
        return clients, judged(replies, answerable_alone, is_correct)

    def record(clients: int, answers: tuple[JudgedReply, ...]) -> None:
        for metric, values in raw_trials(answers, clients).items():
            # A canary's tokens arrive faster than one program can read the streams of eight
            # clients. They are read in bursts, which would look like speed.
            reads_bursts = deployed.is_canary and metric.startswith("decode_")
            if not reads_bursts and not deployed.recorded(metric):
                deployed.record(metric, *values)

    def all_loads() -> list[tuple[int, tuple[JudgedReply, ...]]]:
        kind = tuple[int, tuple[JudgedReply, ...]]
        loads = [
            once(f"load {number}", partial(load, number, clients), kind)
            for number, clients in enumerate(CLIENTS, start=1)
        ]
        for clients, answers in loads:
            record(clients, answers)
        return loads

    return all_loads


@pytest.fixture
def prompts(dealt: _Dealt) -> _Prompts:
    """Question -> its prompt and the correct answer."""
    return {question.identifier: (question.prompt, question.answer) for question in sum(dealt, ())}


def _listens(address: str) -> bool:
    place = urlsplit(address)
    try:
        with socket.create_connection((place.hostname, place.port or 80), timeout=10):
            return True
    except OSError:
        return False


def _problem(
    when: str,
    verdict: str,
    failed: list[JudgedReply],
    answers: Sequence[JudgedReply],
    prompts: _Prompts,
) -> list[str]:
    if not failed:
        return []
    examples = "; ".join(description(answer, prompts) for answer in failed[:SHOWN])
    return [f"{when} {len(failed)} of {len(answers)} requests {verdict}: {examples}"]
