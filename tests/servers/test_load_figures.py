"""The figures of several clients: computed from replies by hand, and shown in the report."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.metrics import BASELINE_LIMITS, METRICS
from qualification.core.results import Trial
from qualification.judging.verdicts import is_valid
from qualification.servers.load import ClientReply
from qualification.servers.load_figures import (
    decode_tps,
    fairness,
    judged,
    percentile,
    raw_trials,
    starved,
    under_load,
)
from tests.support.session_sample import DEPLOYMENT, recommended, results, trials


def reply(client=1, number=1, sent_s=0.0, done_s=1.0, **more):
    """A reply with chosen times."""
    return ClientReply(client, number, "q", False, sent_s, done_s, **more)


COUNTS = st.lists(st.integers(0, 1000), min_size=1, max_size=8)
VALUES = st.lists(st.floats(0, 1e6), max_size=50)


@given(COUNTS, st.integers(1, 9))
def test_fairness_is_between_one_of_n_and_one_whatever_the_scale(counts, factor):
    """Jain's index: 1 if all are equal, 1/n if one client has all, 0 if all are 0."""
    index = fairness(counts)
    if not any(counts):
        assert index == 0
        return
    assert 1 / len(counts) - 1e-9 <= index <= 1 + 1e-9
    assert math.isclose(index, fairness([factor * count for count in counts]))
    assert (index > 1 - 1e-12) == (len(set(counts)) == 1)


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_percentiles_are_in_range_and_in_order(values, share_1, share_2):
    """None under five values; else between the least and the most, and rising."""
    shares = sorted((share_1, share_2))
    low, high = (percentile(values, share) for share in shares)
    if len(values) < 5:
        assert (low, high) == (None, None)
        return
    assert min(values) <= low <= max(values)
    assert low <= high + 1e-6
    assert percentile(values, 0) == min(values)
    assert percentile(values, 1) == max(values)


def test_decoding_speed_excludes_the_first_token_and_short_answers():
    """(N − 1) / (t_N − t_1); an answer under eight tokens has none."""
    assert decode_tps(reply(first_s=1.0, last_s=2.0, tokens=11)) == pytest.approx(10.0)
    assert decode_tps(reply(first_s=1.0, last_s=2.0, tokens=7)) is None
    assert decode_tps(reply(first_s=1.0, last_s=1.0, tokens=11)) is None
    assert decode_tps(reply(tokens=11)) is None


def test_a_client_is_not_starved_where_all_wait_their_turn():
    """Four of eight had no answer when one client had two: slow, but fair."""
    replies = [reply(client, 1, 0.0, float(client)) for client in (1, 2, 3, 4)]
    replies += [reply(1, 2, 1.0, 5.0)] + [reply(client, 1, 0.0, 9.0) for client in (5, 6, 7, 8)]
    assert starved(replies, 8) == ()


def test_a_request_that_was_sent_later_is_no_swap():
    """An answer cannot be about an image that had not been sent."""
    early = ClientReply(1, 1, "a", False, 0.0, 1.0, text="b")
    late = ClientReply(2, 1, "b", False, 2.0, 3.0, text="b")
    answerable = {("a", False), ("b", False)}
    judged_early, judged_late = judged([early, late], answerable, lambda q, r: q == r.text)
    assert judged_early.is_correct is False
    assert judged_early.swapped_with is None
    assert judged_late.is_correct is True


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
def test_the_trials_of_any_replies_are_measurements(replies):
    """Each is valid in its metric's unit, none is judged by a budget, and a report takes them."""
    measured = raw_trials(judged(replies, {("q", False)}, lambda *_: True), 4)
    for metric, values in measured.items():
        assert metric not in BASELINE_LIMITS
        for value in values:
            assert is_valid(Trial("d", metric, value, METRICS[metric].unit, 0, "concurrency")), (
                metric
            )
    (line,) = under_load(lambda metric: measured.get(metric, ()))
    assert line.requests == len(replies)
    assert line.clients == 4


def test_the_report_shows_what_a_server_did_under_load():
    """A line for each number of clients; no table without a server, no zero without a figure."""
    from qualification.core.paths import DECLARATIONS
    from qualification.models.loading import load_registry

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
    text = recommended(results(trials=measured), registry)["recommendations.md"]
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{DEPLOYMENT}` | 4 |")]
    cells = [cell.strip() for cell in row.split("|")][2:]
    assert cells[:6] == ["4", "8", "2", "3", "1", "–"]
    assert cells[7] == "200 ms"
    assert "0.988" in cells
    assert (
        "Servers under load"
        in recommended(results(trials=measured), registry)["recommendations.html"]
    )
    assert "Servers under load" not in recommended(results(), registry)["recommendations.md"]
