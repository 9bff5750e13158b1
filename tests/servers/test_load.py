"""Several clients of a server at once: against a stand-in on a real socket that fails as told."""

import io
import math
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import qualification.suites
from qualification.core.metrics import BASELINE_LIMITS, CLIENTS, METRICS
from qualification.core.protocol import Message, Part
from qualification.core.results import Trial
from qualification.judging.verdicts import is_valid
from qualification.servers.load import GIVEN_UP, Limits, Reply, run_clients
from qualification.servers.load_figures import (
    decode_tps,
    fairness,
    finished_together,
    judged,
    names,
    percentile,
    raw_trials,
    starved,
    told,
    under_load,
)
from qualification.tasks.load_script import EACH, Asking, all_of, deal, marked
from qualification.tasks.questions import generate, is_right
from tests.support.serving_stand_in import MODEL, Faults, serving
from tests.support.session_sample import DEPLOYMENT, results, trials

REPOSITORY = Path(qualification.suites.__file__).parents[2]
SHORT = Limits(0.3, 3, 20.0)
DEALT = deal(generate(seed=43, count=400, split="heldout", skills=["both"]), 8)
BY_NAME = {question.identifier: question for own in DEALT for question in own}
PROMPTS = {name: (question.prompt, question.answer) for name, question in BY_NAME.items()}


def right(name, reply):
    """Whether a reply answers a question; a long one goes on after it."""
    if reply.long:
        return reply.text.startswith(BY_NAME[name].answer)
    return is_right(BY_NAME[name], reply.text)


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
    """``load(clients, faults)``: every reply, judged as if all questions were known."""

    def run(clients, faults=None, limits=SHORT):
        scripts = [asking.script(own, load=1) for own in DEALT[:clients]]
        with serving(faults) as address:
            replies = run_clients(address, MODEL, scripts, limits)
        known = {(name, long) for name in BY_NAME for long in (False, True)}
        return judged(replies, known, right)

    return run


@pytest.mark.parametrize("clients", CLIENTS)
def test_all_clients_of_a_good_server_are_answered(load, clients):
    """Nothing fails, every answer is about its own picture, each has had its least."""
    answers = load(clients)
    assert all(one.right for one in answers), [told(one, PROMPTS) for one in answers][:3]
    assert {one.reply.client for one in answers} == set(range(1, clients + 1))
    for client in range(1, clients + 1):
        assert sum(one.reply.client == client for one in answers) >= SHORT.least
    seen = raw_trials(answers, clients)
    assert set(seen) <= set(METRICS)
    assert seen[names(clients)["failed"]] == (0.0,)


def test_an_answer_about_another_clients_picture_is_a_swap_in_words(load):
    """It names both clients, the question, the answer and what was expected."""
    answers = load(4, Faults(swap_pictures=True, token_s=0.002))
    swapped = [one for one in answers if one.swapped_with is not None]
    assert swapped
    assert all(one.right is False for one in swapped)
    sentence = told(swapped[0], PROMPTS)
    other = swapped[0].swapped_with
    assert other.client != swapped[0].reply.client
    assert f"swapped, it is right for the picture of request {other.number}" in sentence
    assert f"client {other.client} ({other.question})" in sentence
    assert raw_trials(answers, 4)["swapped_4_clients"] == (float(len(swapped)),)


def test_a_picture_kept_from_one_load_to_the_next_would_be_caught(asking):
    """No two requests show the same bytes, in one load or in two."""
    shown = set()
    for number, load in enumerate((0, 1, 2)):
        for own in DEALT[: number + 1]:
            script = asking.script(own, load=load)
            for request in range(1, 8):
                (message,) = script(request).messages
                shown.add(message["content"][0]["image_url"]["url"])
    assert len(shown) == 7 * (1 + 2 + 3)


def test_failures_are_told_and_end_a_client_after_three(load):
    """A server that refuses everything is asked three times by each client."""
    answers = load(2, Faults(fail_every=1))
    assert len(answers) == 2 * GIVEN_UP
    assert all("answered 500" in one.reply.error for one in answers)
    assert "it was told to fail" in told(answers[0], PROMPTS)
    assert raw_trials(answers, 2)["failed_2_clients"] == (6.0,)


def test_a_stream_that_just_ends_has_failed(load):
    """[DONE] without a finish reason is no end of an answer."""
    lost = [one.reply for one in load(2, Faults(cut_every=4)) if one.reply.error]
    assert lost
    assert all("finish_reason None" in reply.error for reply in lost)


def test_who_is_never_served_has_starved(load):
    """The first client is served while it asks; another one has nothing until it stops."""
    replies = [one.reply for one in load(3, Faults(starve=True, parallel=1), Limits(0.3, 8, 30.0))]
    assert len(starved(replies, 3)) == 2
    counts = finished_together(replies, 3)
    assert fairness(counts.values()) == pytest.approx(1 / 3)


def test_what_is_not_answered_by_the_deadline_has_failed(load):
    """A server that hangs does not hold the load for ever."""
    answers = load(2, Faults(hang=True), Limits(0.2, 1, 1.0))
    assert [one.reply.error for one in answers] == ["no answer within the 1 s that there were"] * 2


def test_a_server_that_is_not_there_is_a_failure_and_no_exception(asking):
    """Nobody listens: each client says so."""
    with serving() as address:
        pass
    replies = run_clients(address, MODEL, [asking.script(DEALT[0], load=0)], SHORT)
    assert len(replies) == GIVEN_UP
    assert all("Connect" in reply.error for reply in replies)


def test_no_two_clients_share_an_answer():
    """So whoever is given another's is caught; too few answers are an error that says so."""
    answers = [question.answer for own in DEALT for question in own]
    assert len(set(answers)) == len(answers) == 8 * EACH
    assert len(all_of(DEALT)) == len(answers) + 1
    with pytest.raises(ValueError, match="too few for 8 clients"):
        deal(generate(seed=1, count=50, split="heldout", skills=["colour"]), 8)


@given(st.integers(0, 10_000))
def test_a_marked_picture_shows_the_same(tmp_path_factory, mark):
    """One pixel differs, by one level of one channel."""
    file = tmp_path_factory.getbasetemp() / "picture-to-mark.png"
    picture = Image.new("RGB", (100, 90), (200, 40, 40))
    if not file.exists():
        picture.save(file)
    with Image.open(io.BytesIO(marked(file, mark))) as opened:
        changed = [a != b for a, b in zip(opened.tobytes(), picture.tobytes(), strict=True)]
    assert sum(changed) == 1


# --------------------------------------------------------------------------- figures


def reply(client=1, number=1, sent_s=0.0, done_s=1.0, **more):
    """A reply made by hand."""
    return Reply(client, number, "q", False, sent_s, done_s, **more)


COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=8)
VALUES = st.lists(st.floats(0, 1e6), max_size=50)


def test_an_empty_answer_has_failed(load):
    """A 200 with nothing in it is what a server gives that lost the picture."""
    answers = load(1, Faults(mute=True))
    assert all(one.reply.error == "the answer is empty" for one in answers)


@given(COUNTS, st.integers(1, 9))
def test_fairness_is_between_one_of_n_and_one_whatever_the_scale(counts, factor):
    """Jain's index: 1 where all are equal, 1/n where one has all, 0 where nobody has anything."""
    index = fairness(counts)
    if not any(counts):
        assert index == 0
        return
    assert 1 / len(counts) - 1e-9 <= index <= 1 + 1e-9
    assert math.isclose(index, fairness([factor * count for count in counts]))
    assert (index > 1 - 1e-12) == (len(set(counts)) == 1)


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_are_in_range_and_in_order(values, one, other):
    """None under five values; else between the least and the most, and rising."""
    low, high = sorted((one, other))
    found = percentile(values, low), percentile(values, high)
    if len(values) < 5:
        assert found == (None, None)
        return
    assert min(values) <= found[0] <= max(values)
    assert found[0] <= found[1] + 1e-6
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)


def test_a_decoding_speed_leaves_out_the_first_token_and_short_answers():
    """(N − 1) / (t_N − t_1); an answer under eight tokens has none."""
    assert decode_tps(reply(first_s=1.0, last_s=2.0, tokens=11)) == pytest.approx(10.0)
    assert decode_tps(reply(first_s=1.0, last_s=2.0, tokens=7)) is None
    assert decode_tps(reply(first_s=1.0, last_s=1.0, tokens=11)) is None
    assert decode_tps(reply(tokens=11)) is None


def test_a_client_is_not_starved_where_all_wait_their_turn():
    """Four of eight had none when the first had two: slow, and fair."""
    replies = [reply(client, 1, 0.0, float(client)) for client in (1, 2, 3, 4)]
    replies += [reply(1, 2, 1.0, 5.0)] + [reply(client, 1, 0.0, 9.0) for client in (5, 6, 7, 8)]
    assert starved(replies, 8) == ()


def test_what_was_asked_only_later_is_no_swap():
    """An answer cannot be right for a picture that had not been sent."""
    early = Reply(1, 1, "a", False, 0.0, 1.0, text="b")
    late = Reply(2, 1, "b", False, 2.0, 3.0, text="b")
    first, second = judged([early, late], {("a", False), ("b", False)}, lambda q, r: q == r.text)
    assert first.right is False
    assert first.swapped_with is None
    assert second.right is True


@given(
    st.lists(
        st.builds(
            reply,
            client=st.integers(1, 4),
            sent_s=st.floats(0, 10),
            done_s=st.floats(10.1, 20),
            first_s=st.none() | st.floats(10.1, 12),
            last_s=st.none() | st.floats(12, 15),
            tokens=st.integers(0, 100),
            error=st.sampled_from(["", "", "", "broke off"]),
        ),
        max_size=30,
    )
)
def test_whatever_came_its_trials_are_measurements(replies):
    """Each is valid in its metric's unit, none is judged by a budget, and a report takes them."""
    found = raw_trials(judged(replies, {("q", False)}, lambda *_: True), 4)
    for metric, values in found.items():
        assert metric not in BASELINE_LIMITS
        for value in values:
            assert is_valid(Trial("d", metric, value, METRICS[metric][0], 0, "concurrency")), metric
    (line,) = under_load(lambda metric: found.get(metric, ()))
    assert line.requests == len(replies)
    assert line.clients == 4


# --------------------------------------------------------------------------- shown


def test_the_report_shows_what_a_server_did_under_load():
    """A line for each number of clients; no table where no server was tried; no invented zeros."""
    from qualification.core.paths import DECLARATIONS
    from qualification.models.loading import load_registry
    from qualification.results.report import render

    registry = load_registry(DECLARATIONS)
    measured = (
        trials("request_4_clients_s", 0.1, 0.1, 0.2, 0.2, 0.2, 0.9)
        + trials("ttft_4_clients_s", 0.05, 0.06, 0.07)
        + trials("failed_4_clients", 2.0)
        + trials("wrong_4_clients", 3.0)
        + trials("swapped_4_clients", 1.0)
        + trials("served_4_clients_tps", 123.0)
        + trials("fairness_4_clients", 0.9876)
    )
    text = render(results(trials=measured), registry)["recommendations.md"]
    (line,) = [one for one in text.splitlines() if one.startswith(f"| `{DEPLOYMENT}` | 4 |")]
    cells = [cell.strip() for cell in line.split("|")][2:]
    assert cells[:6] == ["4", "8", "2", "3", "1", "–"]
    assert cells[7] == "200 ms"
    assert "0.988" in cells
    assert (
        "Servers under load" in render(results(trials=measured), registry)["recommendations.html"]
    )
    assert "Servers under load" not in render(results(), registry)["recommendations.md"]


# --------------------------------------------------------------------------- the suite

MODELS = """
[[models]]
name = "toy"
family = "toy"
parameters = 1000
licence = "MIT"
capabilities = ["vision"]
skills = ["both"]

[[models.sources]]
backend = "server"
server = "url"
quantisation = "f32"
weights = "canary"
path = "canaries/smolvlm"
options = {{ url = "{address}" }}
"""
MEMORY = """
[[backends]]
name = "server"
process = "1 MB"
weights_copies = 1.0
activations_per_1000_image_tokens = "0 MB"
source = "a test"
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Run the suite on a stand-in; returns the result and the metrics that were recorded."""
    monkeypatch.setenv("QUALIFY_HOME", str(pytester.path))
    monkeypatch.delenv("QUALIFY_RESULTS", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (pytester.path / "fixtures").symlink_to(REPOSITORY / "fixtures")
    folder = pytester.mkdir("declared")
    for name in ("tiers", "chips", "bugs"):
        (folder / f"{name}.toml").write_text(f"{name} = []\n")
    (folder / "memory.toml").write_text(MEMORY)

    def run(faults=None):
        with serving(faults) as address:
            (folder / "models.toml").write_text(MODELS.format(address=address))
            result = pytester.runpytest_subprocess(
                "-p", "qualification.pytest_plugin", "--declarations", str(folder), "-ra",
                str(Path(qualification.suites.__file__).parent / "test_concurrency.py"),
            )  # fmt: skip
        with sqlite3.connect(pytester.path / "reports/results.sqlite") as kept:
            return result, dict(kept.execute("select metric, value from trials").fetchall())

    return run


@pytest.mark.slow
def test_the_suite_passes_on_a_good_server_and_keeps_its_figures(suite):
    """All four tests, and the figures of every number of clients."""
    result, kept = suite(Faults(token_s=0.002))
    result.assert_outcomes(passed=4)
    for clients in CLIENTS:
        assert kept[f"failed_{clients}_clients"] == 0
        assert kept[f"fairness_{clients}_clients"] > 0.5
        assert kept[f"served_{clients}_clients_tps"] > 0


@pytest.mark.slow
def test_the_suite_fails_on_swapped_pictures_in_words(suite):
    """One client alone is answered rightly, several are not: only that test fails."""
    result, kept = suite(Faults(token_s=0.002, swap_pictures=True))
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        ["*at 8 clients * of * requests were answered wrongly: *client *swapped, it is right for*"]
    )
    assert kept["swapped_1_clients"] == 0
    assert kept["swapped_8_clients"] > 0


@pytest.mark.slow
def test_the_suite_fails_on_broken_streams_and_names_the_request(suite):
    """Streams cut off under load: the level, the client, the question and the answer are told."""
    result, kept = suite(Faults(token_s=0.002, cut_every=25))
    result.stdout.fnmatch_lines(
        ["*at * clients * failed: request * of client *Name the colour*finish_reason*"]
    )
    assert kept["failed_8_clients"] > 0
