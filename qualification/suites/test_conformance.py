"""What does the server answer to good and to bad requests, to the letter of OpenAI's protocol?

One test is one requirement, and one row of the report's table (``qualification.results.conformance_table``).
"""

import pytest

from qualification.suites.support.bad_requests import BAD_REQUESTS, as_openai, fault
from qualification.suites.support.raw_http import data_url, user

pytestmark = [pytest.mark.conformance, pytest.mark.on_backends("server")]

LONG = 1000
"""Tokens of a stream that is broken off: some seconds of a canary, and within its context."""

SOME = 24
SEEDS = range(1, 5)
GROWTH_LIMIT_BYTES = 1_500_000_000
"""By which a canary's server may grow over any bad picture: a tenth of the smallest machine."""


def test_health_is_answered(served):
    """The health endpoint answers with 200."""
    reply = served.call("GET", served.health)
    status = reply.status
    assert status == 200, f"GET {served.health} was answered with {reply}"


def test_lists_its_model(served):
    """The list of models is a list and has the name that requests use."""
    reply = served.call("GET", "/models")
    listed = reply.json if reply.status == 200 else None
    data = listed.get("data") if isinstance(listed, dict) else None
    ids = [one.get("id") for one in data or ()]
    named = served.model in ids and listed.get("object") == "list"
    assert named, f"GET /v1/models, where {served.model} is served, was answered with {reply}"


@pytest.mark.needs("text_only")
def test_answers_text(served, deployed, known):
    """A question without a picture is answered rightly."""
    _assert_right(deployed, *served.ask(known("text")))


@pytest.mark.needs("vision")
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_answers_about_a_picture(served, deployed, known, kind):
    """A picture in a data URL is answered about rightly."""
    _assert_right(deployed, *served.ask(known("both"), kind=kind))


@pytest.mark.needs("multi_image")
def test_answers_about_two_pictures(served, deployed, known):
    """Two pictures of one turn are told apart."""
    _assert_right(deployed, *served.ask(known("pair")))


@pytest.mark.needs("multi_turn")
def test_continues_a_conversation(served, deployed, known):
    """What the first turn's picture showed is answered rightly in the third turn."""
    _assert_right(deployed, *served.ask(known("recall")))


def test_takes_a_system_message(served, known):
    """A conversation that begins with a system message is answered."""
    system = {"role": "system", "content": "You answer questions about pictures."}
    reply = served.chat([system, *served.turns(known("both"))])
    answered = reply.status == 200 and reply.text.strip()
    assert answered, f"after a system message: {reply}"


def test_answer_has_openais_shape(served, whole):
    """An answer has its id, object, time, model, one choice, and a usage that adds up."""
    content, choices = whole.json, whole.choices
    message = choices[0].get("message") or {} if choices else {}
    wrong = [
        name
        for name, right in {
            "id": isinstance(content.get("id"), str) and content["id"],
            "object": content.get("object") == "chat.completion",
            "created": isinstance(content.get("created"), int),
            "model": isinstance(content.get("model"), str) and content["model"],
            "choices": [choice.get("index") for choice in choices] == [0],
            "message": message.get("role") == "assistant"
            and isinstance(message.get("content"), str),
            "finish_reason": whole.finish_reason == "stop",
            "usage": _adds_up(whole.usage),
        }.items()
        if not right
    ]
    assert not wrong, f"{', '.join(wrong)} of an answer: {whole}"


def test_max_tokens_ends_the_answer(served, known):
    """After max_tokens the answer ends, and says that this is why."""
    reply = served.chat(served.turns(known("both")), max_tokens=1)
    ended = (reply.usage.get("completion_tokens"), reply.finish_reason)
    assert ended == (1, "length"), f"with max_tokens 1: {reply}"


def test_stop_cuts_the_answer(served, known, whole):
    """The answer ends before a text of stop, and says that it came to an end."""
    word = whole.text.split()[-1]
    reply = served.chat(served.turns(known("both")), stop=[word])
    kept = whole.text.partition(word)[0].strip()
    cut = (reply.status, reply.text.strip(), reply.finish_reason)
    assert cut == (200, kept, "stop"), f"with stop {[word]}: {reply}, without: {whole.text!r}"


def test_seed_repeats_the_answer(served, known):
    """At a temperature over 0, the same seed gives the same answer."""
    fields = served.long(SOME, temperature=1.0) | {"max_tokens": SOME, "temperature": 1.0}

    def said(seed):
        return served.chat(served.turns(known("both")), **fields | {"seed": seed}).text

    twice = {seed: (said(seed), said(seed)) for seed in SEEDS}
    other = [
        f"seed {seed}: {one!r}, then {two!r}" for seed, (one, two) in twice.items() if one != two
    ]
    assert not other, "; ".join(other)
    different = {one for one, _ in twice.values()}
    drawn = len(different) > 1 or not served.is_ours  # a stranger's may be too sure of one answer
    assert drawn, f"seeds {list(SEEDS)} all gave {different}: nothing was drawn"


def test_temperature_0_repeats_the_answer(served, known, whole):
    """At temperature 0, the same request gives the same answer."""
    again = [served.chat(served.turns(known("both"))).text for _ in range(2)]
    assert set(again) == {whole.text}, f"{whole.text!r}, then {again}"


def test_stream_gives_the_same_answer(whole, streamed):
    """The pieces of a stream, put together, are the answer that comes whole."""
    same = streamed.status == 200 and streamed.text.strip() == whole.text.strip()
    assert same, f"streamed {streamed}, whole {whole.text!r}"


def test_stream_is_closed_by_done(streamed):
    """A stream is of server-sent events, the last of which is [DONE]."""
    kind, events = streamed.content_type, streamed.events
    closed = kind.startswith("text/event-stream") and events[-1:] == ("[DONE]",)
    last = events[-1] if events else streamed
    assert closed, f"a stream of {kind or 'no content type'} ended with {last}"


def test_stream_has_one_reason_to_end(streamed):
    """A role comes before the text, and one reason to end after it."""
    kinds = []
    for choice in streamed.choices:
        delta = choice.get("delta") or {}
        kinds += [kind for kind in ("role", "content") if delta.get(kind)]
        kinds += ["reason"] if choice.get("finish_reason") else []
    ordered = kinds[:1] == ["role"] and "reason" not in kinds[:-1] and kinds[-1] == "reason"
    assert ordered, f"the pieces were {kinds}"


def test_stream_ends_with_usage(streamed, whole):
    """With include_usage, the last piece of a stream has the usage of the whole."""
    usage = streamed.usage
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    same = _adds_up(usage) and all(usage[name] == whole.usage.get(name) for name in names)
    last = streamed.chunks[-1] if streamed.chunks else streamed
    assert same, f"the last piece was {last}; the usage of the same, whole, is {whole.usage}"


@pytest.mark.needs("vision")
@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_each_request_has_its_own_picture(served, deployed, answered, way):
    """The second request is not answered with the first one's picture."""
    right = {each.question.answer: each.question for each in answered("both") if each.right}
    assert len(right) > 1, f"of the questions one answer only is right: {list(right)}"
    first, second = list(right.values())[:2]
    for question in (first, second):
        _assert_right(deployed, *served.ask(question, streamed=way == "streamed"))


def test_a_broken_off_stream_harms_nothing(served, deployed, known):
    """A client that goes away in the middle of a stream leaves a right answer for the next one."""
    question = known("both")
    fields = served.long(LONG)
    pieces = []

    def second_piece(event):
        pieces.append(event)
        return len(pieces) > 2

    reply = served.stream(
        served.turns(question), until=second_piece, **fields | {"max_tokens": LONG}
    )
    assert len(reply.events) > 2, f"a stream of up to {LONG} tokens gave {reply}"
    _assert_right(deployed, *served.ask(question))


def test_a_failing_stream_tells_its_failure(served, deployed, known):
    """A streamed request that fails says so, by its status or in the stream."""
    reply = served.stream([user("What is it?", data_url(b"this is not a picture"))])
    told = 400 <= reply.status < 600 or any("error" in chunk for chunk in reply.chunks)
    assert told, f"about something that is no picture, streamed: {reply}"
    _assert_right(deployed, *served.ask(known("both"), streamed=True))


@pytest.mark.parametrize("case", BAD_REQUESTS, ids=lambda case: case.name)
def test_refuses(tried, deployed, case):
    """A bad request is refused with 4xx and a sentence; a large one may be answered."""
    seen = tried(case)
    wrong = fault(case, seen.reply)
    assert not wrong, f"{case.name}: {wrong}"
    grown = seen.grown_bytes
    if deployed.is_canary:
        assert grown < GROWTH_LIMIT_BYTES, f"{case.name}: the server grew by {grown / 1e9:.1f} GB"


def test_refusals_have_openais_shape(tried):
    """Whatever is refused is refused with {"error": {"message": ...}}."""
    refused = {case.name: tried(case).reply for case in BAD_REQUESTS}
    other = [
        name
        for name, reply in refused.items()
        if 400 <= reply.status < 600 and not as_openai(reply)
    ]
    assert not other, f"refused in another shape: {', '.join(other)}; {refused[other[0]]}"


def test_bad_requests_harm_nothing(tried):
    """After each bad request the next good one is answered rightly by the same process."""
    harmed = [f"{case.name}: {harm}" for case in BAD_REQUESTS if (harm := tried(case).harm)]
    assert not harmed, f"after a bad request, {'; '.join(harmed)}"


def _adds_up(usage):
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    prompt, completion, total = (usage.get(name) for name in names)
    return bool(prompt and completion) and prompt + completion == total


def _assert_right(deployed, question, reply):
    right = reply.status == 200 and deployed.is_right(question, reply.text.strip())
    said = repr(reply.text.strip()) if reply.status == 200 else reply
    assert right, f"{question.prompt} -> {said}, expected {question.answer!r}"
