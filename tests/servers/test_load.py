"""Several clients of a server at once, against a stand-in on a real socket with chosen faults."""

import io
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.core.metrics import CLIENTS, METRICS
from qualification.core.protocol import Message, Part
from qualification.servers import load as clients_load
from qualification.servers.load import MAX_FAILURES, LoadLimits, run_clients
from qualification.servers.load_figures import (
    description,
    fairness,
    finished_together,
    judged,
    names,
    raw_trials,
    starved,
)
from qualification.tasks.load_script import QUESTIONS_PER_CLIENT, Asking, all_of, deal, marked
from qualification.tasks.questions import generate, is_correct
from tests.support.serving_stand_in import MODEL, Faults, serving

SHORT = LoadLimits(0.3, 3, 20.0)
DEALT = deal(generate(seed=43, count=400, split="heldout", skills=["both"]), 8)
BY_NAME = {question.identifier: question for questions in DEALT for question in questions}
PROMPTS = {name: (question.prompt, question.answer) for name, question in BY_NAME.items()}


def is_correct_reply(name, reply):
    """Whether a reply answers a question; a long reply continues after the answer."""
    if reply.long:
        return reply.text.startswith(BY_NAME[name].answer)
    return is_correct(BY_NAME[name], reply.text)


@pytest.fixture
def asking(tmp_path):
    """The questions as they are put to the stand-in."""

    def messages(question):
        file = tmp_path / f"{question.identifier}.png"
        question.images()[0].save(file)
        return (Message("user", (Part("image", str(file)), Part("text", question.prompt))),)

    return Asking(messages, 300, 30, {}, {"fixed": True})


@pytest.fixture
def load(asking):
    """``load(clients, faults)``: every reply, judged as if all questions were answerable."""

    def run(clients, faults=None, limits=SHORT):
        scripts = [asking.script(questions, load=1) for questions in DEALT[:clients]]
        with serving(faults) as address:
            replies = run_clients(address, MODEL, scripts, limits)
        answerable = {(name, long) for name in BY_NAME for long in (False, True)}
        return judged(replies, answerable, is_correct_reply)

    return run


@pytest.mark.parametrize("clients", CLIENTS)
def test_all_clients_of_a_good_server_are_answered(load, clients):
    """No request fails, every answer is about its own image, each client made its requests."""
    answers = load(clients)
    wrong = [answer for answer in answers if not answer.is_correct]
    assert not wrong, [description(answer, PROMPTS) for answer in wrong][:3]
    assert {answer.reply.client for answer in answers} == set(range(1, clients + 1))
    for client in range(1, clients + 1):
        assert sum(answer.reply.client == client for answer in answers) >= SHORT.least
    measured = raw_trials(answers, clients)
    assert set(measured) <= set(METRICS)
    assert measured[names(clients)["failed"]] == (0.0,)


def test_an_answer_about_another_clients_image_is_a_swap_in_words(load):
    """It names both clients, the question, the answer and what was expected."""
    answers = load(4, Faults(swap_images=True, token_s=0.002))
    swapped = [answer for answer in answers if answer.swapped_with is not None]
    assert swapped
    assert all(answer.is_correct is False for answer in swapped)
    sentence = description(swapped[0], PROMPTS)
    source = swapped[0].swapped_with
    assert source.client != swapped[0].reply.client
    assert f"swapped, it is correct for the image of request {source.number}" in sentence
    assert f"client {source.client} ({source.question})" in sentence
    assert raw_trials(answers, 4)["swapped_4_clients"] == (float(len(swapped)),)


def test_an_image_cached_from_one_load_to_the_next_would_be_noticed(asking):
    """No two requests send the same bytes, in one load or in two."""
    urls = set()
    for number, load in enumerate((0, 1, 2)):
        for questions in DEALT[: number + 1]:
            script = asking.script(questions, load=load)
            for request in range(1, 8):
                (message,) = script(request).messages
                urls.add(message["content"][0]["image_url"]["url"])
    assert len(urls) == 7 * (1 + 2 + 3)


def test_failures_are_reported_and_end_a_client_after_three(load):
    """A server that refuses everything is asked three times by each client."""
    answers = load(2, Faults(fail_every=1))
    assert len(answers) == 2 * MAX_FAILURES
    assert all("answered 500" in answer.reply.error for answer in answers)
    assert "it was told to fail" in description(answers[0], PROMPTS)
    assert raw_trials(answers, 2)["failed_2_clients"] == (6.0,)


def test_a_stream_that_ends_without_a_reason_has_failed(load):
    """[DONE] without a finish reason is no end of an answer."""
    replies = [answer.reply for answer in load(2, Faults(truncate_every=4))]
    failed = [reply for reply in replies if reply.error]
    assert failed
    assert all("finish_reason None" in reply.error for reply in failed)


def test_a_client_that_is_never_served_has_starved(load):
    """One client is served while it asks; the two others get no answer until it stops."""
    replies = [
        answer.reply
        for answer in load(3, Faults(starve=True, parallel=1), LoadLimits(0.3, 8, 30.0))
    ]
    assert len(starved(replies, 3)) == 2
    counts = finished_together(replies, 3)
    assert fairness(counts.values()) == pytest.approx(1 / 3)


def test_a_request_without_an_answer_by_the_deadline_has_failed(load, monkeypatch):
    """A server that hangs does not hold the load for ever."""
    # The load's clock stands still, so that both clients ask, however slow this machine is. The
    # deadline itself is kept by the event loop, whose clock goes on.
    monkeypatch.setattr(clients_load, "time", SimpleNamespace(perf_counter=lambda: 0.0))
    answers = load(2, Faults(hang=True), LoadLimits(0.0, 1, 0.5))
    errors = {answer.reply.client: answer.reply.error for answer in answers}
    assert errors == dict.fromkeys((1, 2), "no answer within the deadline of 0.5 s")


def test_a_server_that_is_not_running_is_a_failure_and_no_exception(asking):
    """No process listens: each client reports it."""
    with serving() as address:
        pass
    replies = run_clients(address, MODEL, [asking.script(DEALT[0], load=0)], SHORT)
    assert len(replies) == MAX_FAILURES
    assert all("Connect" in reply.error for reply in replies)


def test_no_two_clients_share_an_answer():
    """So an answer that reaches the wrong client is noticed; too few answers are an error."""
    answers = [question.answer for questions in DEALT for question in questions]
    assert len(set(answers)) == len(answers) == 8 * QUESTIONS_PER_CLIENT
    assert len(all_of(DEALT)) == len(answers) + 1
    with pytest.raises(ValueError, match="too few for 8 clients"):
        deal(generate(seed=1, count=50, split="heldout", skills=["colour"]), 8)


@given(st.integers(0, 10_000))
def test_a_marked_image_differs_in_one_pixel(tmp_path_factory, mark):
    """By one level of one channel."""
    file = tmp_path_factory.getbasetemp() / "image-to-mark.png"
    image = Image.new("RGB", (100, 90), (200, 40, 40))
    if not file.exists():
        image.save(file)
    with Image.open(io.BytesIO(marked(file, mark))) as opened:
        changed = [a != b for a, b in zip(opened.tobytes(), image.tobytes(), strict=True)]
    assert sum(changed) == 1


def test_an_empty_answer_has_failed(load):
    """A server that lost the image answers 200 without text."""
    answers = load(1, Faults(mute=True))
    assert all(answer.reply.error == "the answer is empty" for answer in answers)
