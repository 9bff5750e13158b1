"""Several clients of a server at once: is each answered, rightly, and about its own picture?"""

import contextlib
import json
import os
import select
import socket
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from qualification.core.metrics import CLIENTS
from qualification.core.protocol import GenerateRequest
from qualification.judging.stats.estimators import is_beyond_chance
from qualification.servers.client import KEY
from qualification.servers.load import Limits, run_clients
from qualification.servers.load_figures import Judged, judged, raw_trials, starved, told
from qualification.servers.programs import PROGRAMS
from qualification.tasks.load_script import Asking, all_of, deal

pytestmark = [
    pytest.mark.concurrency,
    pytest.mark.needs("vision"),
    pytest.mark.on_backends("server"),
]

CANARY, REAL = Limits(1.5, 3, 60.0), Limits(30.0, 3, 900.0)
"""Of each load; a canary's answer takes some hundredths of a second, a real model's seconds."""

CANARY_TOKENS, REAL_TOKENS = 16, 64
"""Of the long answers, whose decoding speed is kept where the model is a real one."""

ONE_IN_A_HUNDRED = 0.01
"""Answers of a real model that may change when its requests are computed together."""

LONG_PROMPT = "Describe this picture in detail."


STAYS_OPEN_S = 0.5
"""Seconds after an answer in which a connection that is kept may not be closed."""

SHOWN = 3
"""Failures of each load that are told in full."""


def test_every_request_is_answered(loads, prompts):
    """None is refused, dropped, broken off or left waiting, however many ask at once."""
    said = []
    for clients, answers in loads():
        lost = [one for one in answers if one.reply.error]
        said += _told(f"at {clients} clients", "failed", lost, answers, prompts)
    if said:
        pytest.fail("\n".join(said))


def test_each_client_is_told_of_its_own_picture(loads, prompts, deployed):
    """What one client alone is answered rightly is right beside others; no answer is swapped."""
    said = []
    for clients, answers in loads():
        wrong = [one for one in answers if one.right is False]
        judged_at_all = sum(one.right is not None for one in answers)
        # The last digits of a sum depend on what is computed beside it.
        if deployed.is_canary or is_beyond_chance(len(wrong), judged_at_all, ONE_IN_A_HUNDRED):
            wrong.sort(key=lambda one: one.swapped_with is None)
            said += _told(f"at {clients} clients", "were answered wrongly", wrong, answers, prompts)
    if said:
        pytest.fail("\n".join(said))


def test_no_client_starves(loads):
    """While all ask, each one gets its turn: none waits without end beside another one."""
    said = [
        f"at {clients} clients: client {client} had no answer while another one had several"
        for clients, answers in loads()
        for client in starved([one.reply for one in answers], clients)
    ]
    if said:
        pytest.fail("\n".join(said))


def test_a_connection_is_as_open_as_promised(deployed, asked, asking):
    """After a streamed answer it is kept, or the answer had said that it ends there.

    Who asks again on one that is closed unannounced loses that request, now and then.
    """
    place = urlsplit(deployed.load_report.address)
    kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
    connection = kind(place.hostname, place.port, timeout=CANARY.deadline_s)
    ask = asking.script(asked[0], load=len(CLIENTS) + 1)(1)
    body = {
        "model": deployed.load_report.served_as,
        "messages": ask.messages,
        "max_tokens": 4,
        "stream": True,
        **ask.extra,
    }
    key = os.environ.get(KEY) or "none"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    with contextlib.closing(connection):
        connection.request("POST", f"{place.path}/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, f"a streamed request was answered {response.status}"
        if response.will_close or connection.sock is None:
            return
        readable, _, _ = select.select([connection.sock], [], [], STAYS_OPEN_S)
        promised = response.headers.get("Keep-Alive") or "HTTP/1.1 without Connection: close"
        if readable and not connection.sock.recv(1):
            pytest.fail(
                "the server closed the connection after a streamed answer, "
                f"though it had promised to keep it ({promised})"
            )


@pytest.fixture
def asked(deployed, questions, skills):
    """What each of eight clients asks: two questions with answers that no other one has."""
    skill = next((name for name in ("both", "word") if name in skills), None)
    if skill is None:
        pytest.skip("its skills have too few different answers for so many clients")
    some = questions(seed=43, count=400, skills=[skill])
    return deal(some, max(CLIENTS))


@pytest.fixture
def asking(deployed):
    """How this server is asked, with the fields that only its program knows."""
    tokens = CANARY_TOKENS if deployed.is_canary else REAL_TOKENS
    short = deployed.deployment.model.generation.max_tokens
    program = PROGRAMS.get(deployed.deployment.source.server)

    def extra(count, fixed_length):
        if program is None:
            return {}
        wanted = GenerateRequest((), count, fixed_length=fixed_length)
        # Where a program is asked by a folder's name, that is the folder of its model.
        fields = program.extra  # ruff takes a call of that name for Django's
        return fields(wanted, Path(deployed.load_report.served_as))

    return Asking(
        deployed.messages,
        max_tokens=short,
        long_tokens=tokens,
        extra=extra(short, False),
        long_extra=extra(tokens, True),
        long_prompt="" if deployed.is_canary else LONG_PROMPT,
    )


@pytest.fixture
def is_right(deployed, asked):
    """``is_right(question, reply)``: a long answer of a canary goes on after the right one."""
    by_name = {question.identifier: question for question in sum(asked, ())}

    def right(name, reply):
        question, text = by_name[name], reply.text.strip()
        if reply.long:
            return text.lower().startswith(question.answer)
        return deployed.is_right(question, text)

    return right


@pytest.fixture
def run(deployed):
    """``run(scripts, limits)``: every reply; a server that is gone is started again before."""

    def of(scripts, limits):
        if not _listens(deployed.load_report.address):
            deployed.reload()
        report = deployed.load_report
        return run_clients(report.address, report.served_as, scripts, limits)

    return of


@pytest.fixture
def known(once, run, asked, asking, is_right, prompts, deployed):
    """Questions that one client alone is answered rightly, each with whether it is a long one."""

    def make():
        script = asking.script(sum(asked, ()), load=0, pattern=all_of(asked))
        limits = CANARY if deployed.is_canary else REAL
        alone = run([script], Limits(0.0, len(all_of(asked)), limits.deadline_s))
        lost = [reply for reply in alone if reply.error]
        if lost:
            pytest.fail(f"one client alone: {told(Judged(lost[0], None), prompts)}")
        right = [reply.question for reply in alone if is_right(reply.question, reply)]
        if not right:
            pytest.fail(
                f"one client alone has no right answer: {told(Judged(alone[0], False), prompts)}"
            )
        # What is said of a long answer of a real model is about a prompt of its own.
        kinds = (False, True) if deployed.is_canary else (False,)
        return frozenset((name, long) for name in right for long in kinds)

    return once("known of a server", make)


@pytest.fixture
def loads(once, run, known, asked, asking, is_right, deployed):
    """``loads()``: clients at once -> every reply, judged, one load after the other.

    Figures of each are kept.
    """

    def load(number, clients):
        scripts = [asking.script(each, load=number) for each in asked[:clients]]
        replies = run(scripts, CANARY if deployed.is_canary else REAL)
        answers = judged(replies, known, is_right)
        for metric, values in raw_trials(answers, clients).items():
            # A canary's tokens come faster than one program can read the streams of eight clients:
            # they are read in bursts, which would be taken for speed.
            if not (deployed.is_canary and metric.startswith("decode_")):
                deployed.record(metric, *values)
        return clients, answers

    return lambda: once(
        "several clients", lambda: [load(*each) for each in enumerate(CLIENTS, start=1)]
    )


@pytest.fixture
def prompts(asked):
    """Question -> its prompt and the right answer."""
    return {question.identifier: (question.prompt, question.answer) for question in sum(asked, ())}


def _listens(address):
    place = urlsplit(address)
    try:
        with socket.create_connection((place.hostname, place.port or 80), timeout=10):
            return True
    except OSError:
        return False


def _told(when, what, some, answers, prompts):
    if not some:
        return []
    first = "; ".join(told(one, prompts) for one in some[:SHOWN])
    return [f"{when} {len(some)} of {len(answers)} requests {what}: {first}"]
