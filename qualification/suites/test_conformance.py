"""Does the server answer good and bad requests as OpenAI's protocol demands?

Each test is one requirement and one row of the report's table
(``qualification.results.conformance_table``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from qualification.servers.chat import data_url
from qualification.suites.support.bad_requests import BAD_REQUESTS, fault, has_openai_shape
from qualification.suites.support.raw_http import user

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import GetAnswers, GetQuestion
    from qualification.suites.support.bad_requests import BadRequest, Outcome
    from qualification.suites.support.raw_http import DeployedServer, HttpReply
    from qualification.tasks.questions import Question

pytestmark = [
    pytest.mark.suite(
        "conformance", "a server's responses to good and to bad requests, by raw HTTP"
    ),
    pytest.mark.on_backends("server"),
]

LONG_ANSWER = 1000
"""Tokens of a stream that the client drops: some seconds of a canary, and within its context."""

SAMPLED_TOKENS = 24
SEEDS = range(1, 5)
GROWTH_LIMIT_BYTES = 1_500_000_000
"""The largest growth of a canary's server over a bad image: a tenth of the smallest machine."""


def test_health_is_answered(server: DeployedServer) -> None:
    """The health endpoint answers with 200."""
    reply = server.call("GET", server.health)
    status = reply.status
    assert status == 200, f"GET {server.health} was answered with {reply}"


def test_lists_its_model(server: DeployedServer) -> None:
    """The list of models is a list and contains the name that requests use."""
    reply = server.call("GET", "/models")
    models = reply.json if reply.status == 200 and isinstance(reply.json, dict) else {}
    identifiers = [model.get("id") for model in models.get("data") or ()]
    is_listed = server.model in identifiers and models.get("object") == "list"
    assert is_listed, f"GET /v1/models, where {server.model} is served, was answered with {reply}"


@pytest.mark.needs("text_only")
def test_answers_text(server: DeployedServer, deployed: Deployed, answerable: GetQuestion) -> None:
    """A question without an image is answered correctly."""
    question = answerable("text")
    _assert_correct(deployed, question, server.ask(question))


@pytest.mark.needs("vision")
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_answers_about_an_image(
    server: DeployedServer, deployed: Deployed, answerable: GetQuestion, kind: str
) -> None:
    """A question about an image in a data URL is answered correctly."""
    question = answerable("both")
    _assert_correct(deployed, question, server.ask(question, kind=kind))


@pytest.mark.needs("multi_image")
def test_answers_about_two_images(
    server: DeployedServer, deployed: Deployed, answerable: GetQuestion
) -> None:
    """Two images of one turn are told apart."""
    question = answerable("pair")
    _assert_correct(deployed, question, server.ask(question))


@pytest.mark.needs("vision", "multi_turn")
def test_continues_a_conversation(
    server: DeployedServer, deployed: Deployed, answerable: GetQuestion
) -> None:
    """A question of the third turn about the first turn's image is answered correctly."""
    question = answerable("recall")
    _assert_correct(deployed, question, server.ask(question))


def test_takes_a_system_message(
    server: DeployedServer, answerable: GetQuestion, plain_skill: str
) -> None:
    """A conversation that begins with a system message is answered."""
    system = {"role": "system", "content": "You answer questions about pictures."}
    reply = server.chat([system, *server.turns(answerable(plain_skill))])
    answered = reply.status == 200 and reply.text.strip()
    assert answered, f"after a system message: {reply}"


def test_answer_has_openais_shape(whole_reply: HttpReply) -> None:
    """An answer has its id, object, time, model, one choice, and a usage that adds up."""
    content, choices = whole_reply.json, whole_reply.choices
    message = choices[0].get("message") or {} if choices else {}
    fields = {
        "id": isinstance(content.get("id"), str) and content["id"],
        "object": content.get("object") == "chat.completion",
        "created": isinstance(content.get("created"), int),
        "model": isinstance(content.get("model"), str) and content["model"],
        "choices": [choice.get("index") for choice in choices] == [0],
        "message": message.get("role") == "assistant" and isinstance(message.get("content"), str),
        "finish_reason": whole_reply.finish_reason == "stop",
        "usage": _adds_up(whole_reply.usage),
    }
    wrong = [name for name, is_correct in fields.items() if not is_correct]
    assert not wrong, f"{', '.join(wrong)} of an answer: {whole_reply}"


def test_max_tokens_ends_the_answer(
    server: DeployedServer, answerable: GetQuestion, plain_skill: str
) -> None:
    """The answer ends after max_tokens and reports that reason."""
    reply = server.chat(server.turns(answerable(plain_skill)), max_tokens=1)
    end = (reply.usage.get("completion_tokens"), reply.finish_reason)
    assert end == (1, "length"), f"with max_tokens 1: {reply}"


def test_stop_cuts_the_answer(
    server: DeployedServer, answerable: GetQuestion, plain_skill: str, whole_reply: HttpReply
) -> None:
    """The answer ends before a text of stop and reports a natural end."""
    word = whole_reply.text.split()[-1]
    reply = server.chat(server.turns(answerable(plain_skill)), stop=[word])
    expected = whole_reply.text.partition(word)[0].strip()
    answer = (reply.status, reply.text.strip(), reply.finish_reason)
    assert answer == (200, expected, "stop"), (
        f"with stop {[word]}: {reply}, without: {whole_reply.text!r}"
    )


def test_seed_repeats_the_answer(
    server: DeployedServer, answerable: GetQuestion, plain_skill: str
) -> None:
    """At a temperature over 0, the same seed gives the same answer."""
    fields = server.fixed_length(SAMPLED_TOKENS, temperature=1.0)
    fields |= {"max_tokens": SAMPLED_TOKENS, "temperature": 1.0}

    def answer(seed: int) -> str:
        return server.chat(server.turns(answerable(plain_skill)), **fields | {"seed": seed}).text

    twice = {seed: (answer(seed), answer(seed)) for seed in SEEDS}
    changed = [
        f"seed {seed}: {before!r}, then {after!r}"
        for seed, (before, after) in twice.items()
        if before != after
    ]
    assert not changed, "; ".join(changed)
    answers = {answer for answer, _ in twice.values()}
    # The model of a user's server may be too sure of a single answer.
    is_sampled = len(answers) > 1 or not server.is_managed
    assert is_sampled, f"seeds {list(SEEDS)} all gave {answers}: nothing was sampled"


def test_temperature_0_repeats_the_answer(
    server: DeployedServer, answerable: GetQuestion, plain_skill: str, whole_reply: HttpReply
) -> None:
    """At temperature 0, the same request gives the same answer."""
    again = [server.chat(server.turns(answerable(plain_skill))).text for _ in range(2)]
    assert set(again) == {whole_reply.text}, f"{whole_reply.text!r}, then {again}"


def test_stream_gives_the_same_answer(whole_reply: HttpReply, streamed_reply: HttpReply) -> None:
    """The joined pieces of a stream equal the answer that is not streamed."""
    equal = streamed_reply.status == 200 and streamed_reply.text.strip() == whole_reply.text.strip()
    assert equal, f"streamed {streamed_reply}, whole {whole_reply.text!r}"


def test_stream_is_closed_by_done(streamed_reply: HttpReply) -> None:
    """A stream consists of server-sent events and ends with [DONE]."""
    kind, events = streamed_reply.content_type, streamed_reply.events
    closed = kind.startswith("text/event-stream") and events[-1:] == ("[DONE]",)
    end = events[-1] if events else streamed_reply
    assert closed, f"a stream of {kind or 'no content type'} ended with {end}"


def test_stream_has_one_reason_to_end(streamed_reply: HttpReply) -> None:
    """A role comes before the text, and one reason to end after it."""
    kinds = []
    for choice in streamed_reply.choices:
        delta = choice.get("delta") or {}
        kinds += [kind for kind in ("role", "content") if delta.get(kind)]
        kinds += ["reason"] if choice.get("finish_reason") else []
    ordered = kinds[:1] == ["role"] and "reason" not in kinds[:-1] and kinds[-1] == "reason"
    assert ordered, f"the pieces were {kinds}"


def test_stream_ends_with_usage(streamed_reply: HttpReply, whole_reply: HttpReply) -> None:
    """With include_usage, the last piece of a stream has the usage of the whole answer."""
    usage = streamed_reply.usage
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    equal = _adds_up(usage) and all(usage[name] == whole_reply.usage.get(name) for name in names)
    end = streamed_reply.chunks[-1] if streamed_reply.chunks else streamed_reply
    assert equal, f"the last piece was {end}; the usage of the same, whole, is {whole_reply.usage}"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("delivery", ["whole", "streamed"])
def test_each_request_has_its_own_image(
    server: DeployedServer, deployed: Deployed, answers: GetAnswers, delivery: str
) -> None:
    """The second request is not answered with the first one's image."""
    by_answer = {
        answer.question.answer: answer.question for answer in answers("both") if answer.is_correct
    }
    assert len(by_answer) > 1, f"only one of the answers is ever correct: {list(by_answer)}"
    for question in list(by_answer.values())[:2]:
        reply = server.ask(question, streamed=delivery == "streamed")
        _assert_correct(deployed, question, reply)


def test_a_broken_off_stream_harms_nothing(
    server: DeployedServer, deployed: Deployed, answerable: GetQuestion, plain_skill: str
) -> None:
    """After a client that drops its connection in mid-stream, the next answer is correct."""
    question = answerable(plain_skill)
    fields = server.fixed_length(LONG_ANSWER) | {"max_tokens": LONG_ANSWER}
    events = []

    def third_event(event: str) -> bool:
        events.append(event)
        return len(events) > 2

    reply = server.stream(server.turns(question), until=third_event, **fields)
    assert len(reply.events) > 2, f"a stream of up to {LONG_ANSWER} tokens gave {reply}"
    _assert_correct(deployed, question, server.ask(question))


@pytest.mark.needs("vision")
def test_a_failing_stream_tells_its_failure(
    server: DeployedServer, deployed: Deployed, answerable: GetQuestion
) -> None:
    """A streamed request that fails reports the failure, by its status or in the stream."""
    reply = server.stream([user("What is it?", data_url(b"this is not a picture"))])
    reported = 400 <= reply.status < 600 or any("error" in chunk for chunk in reply.chunks)
    assert reported, f"about data that is not an image, streamed: {reply}"
    question = answerable("both")
    _assert_correct(deployed, question, server.ask(question, streamed=True))


@pytest.mark.parametrize("case", BAD_REQUESTS, ids=lambda case: case.name)
def test_refuses(
    try_request: Callable[[BadRequest], Outcome], deployed: Deployed, case: BadRequest
) -> None:
    """A bad request is refused with 4xx and a sentence; one that is only large may be answered."""
    outcome = try_request(case)
    problem = fault(case, outcome.reply)
    assert not problem, f"{case.name}: {problem}"
    growth = outcome.growth_bytes
    if deployed.is_canary:
        assert growth < GROWTH_LIMIT_BYTES, f"{case.name}: the server grew by {growth / 1e9:.1f} GB"


def test_refusals_have_openais_shape(
    try_request: Callable[[BadRequest], Outcome], bad_requests: tuple[BadRequest, ...]
) -> None:
    """Every refusal is {"error": {"message": ...}}."""
    replies = {case.name: try_request(case).reply for case in bad_requests}
    wrong = [
        name
        for name, reply in replies.items()
        if 400 <= reply.status < 600 and not has_openai_shape(reply)
    ]
    assert not wrong, f"refused in another shape: {', '.join(wrong)}; {replies[wrong[0]]}"


def test_bad_requests_harm_nothing(
    try_request: Callable[[BadRequest], Outcome], bad_requests: tuple[BadRequest, ...]
) -> None:
    """After each bad request the same process answers the next good one correctly."""
    harmed = [f"{case.name}: {harm}" for case in bad_requests if (harm := try_request(case).harm)]
    assert not harmed, f"after a bad request, {'; '.join(harmed)}"


def _adds_up(usage: dict[str, Any]) -> bool:
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    prompt, completion, total = (usage.get(name, 0) for name in names)
    return bool(prompt and completion) and prompt + completion == total


def _assert_correct(deployed: Deployed, question: Question, reply: HttpReply) -> None:
    is_correct = reply.status == 200 and deployed.is_correct(question, reply.text.strip())
    answer = repr(reply.text.strip()) if reply.status == 200 else reply
    assert is_correct, f"{question.prompt} -> {answer}, expected {question.answer!r}"
