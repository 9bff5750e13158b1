"""The client of /v1/admin/status, against the stand-in and against hostile answers."""

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.servers.admin_status import StatusUnavailable, parse, status, status_url
from tests.support.watch_sample import stand_in


@pytest.mark.parametrize("methods", ["POST", "GET", "POST,GET"])
def test_the_status_is_requested_by_post_and_else_by_get(methods):
    """The published documents use POST; some servers accept GET only. With and without /v1."""
    with stand_in("--status-methods", methods) as (url, process):
        for base in (url, url.removesuffix("/v1"), f"{url}/"):
            (worker,) = status(base, timeout_s=10)
            assert (worker.model, worker.pid) == ("leaking", process.pid)
            assert (worker.decode_tps, worker.memory_bytes) == (0.0, 0.0)


def test_the_reported_figures_keep_their_units():
    """tps unchanged, memory_gb times 10⁹; a worker without requests so far has neither."""
    body = {
        "workers": [
            {"model": "Qwen2.5-VL-7B", "tps": 94.13, "memory_gb": 5.79, "state": "idle"},
            {"model": "new", "tps": None},
        ]
    }
    busy, new = parse(json.dumps(body).encode(), "here")
    assert (busy.decode_tps, busy.memory_bytes) == (94.13, 5.79e9)
    assert (new.decode_tps, new.memory_bytes, new.pid) == (None, None, None)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<html>", "not JSON"),
        ("[]", "the answer: Input should be"),
        ("{}", "workers: Field required"),
        ('{"workers": {}}', "workers: Input should be"),
        ('{"workers": [{"tps": 1}]}', r"workers\[0\]\.model: "),
        ('{"workers": [{"model": "m", "tps": "fast"}]}', r"workers\[0\]\.tps: "),
        ('{"workers": [{"model": "m", "tps": -1}]}', r"workers\[0\]\.tps: "),
        ('{"workers": [{"model": "m", "tps": NaN}]}', r"workers\[0\]\.tps: "),
        ('{"workers": [{"model": "m", "memory_gb": 1e400}]}', r"workers\[0\]\.memory_gb: "),
        ('{"workers": [{"model": "m", "pid": 0}]}', r"workers\[0\]\.pid: "),
        ("[" * 5000, "not JSON"),
    ],
)
def test_an_answer_of_another_form_is_one_sentence(body, problem):
    """It names the place and the server; over a real connection."""
    with (
        stand_in("--status-body", body) as (url, _),
        pytest.raises(StatusUnavailable, match=problem) as error,
    ):
        status(url)
    assert "/v1/admin/status" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_server_without_the_endpoint_is_distinguished_from_one_that_fails():
    """Most servers lack the endpoint, which is no error of theirs."""
    with stand_in("--status-methods", "NONE") as (url, _):
        with pytest.raises(StatusUnavailable, match="no such endpoint") as error:
            status(url)
        assert error.value.absent
    with (
        stand_in("--status-body", "{}", "--status-code", "503") as (url, _),
        pytest.raises(StatusUnavailable, match="status 503 instead of 200") as error,
    ):
        status(url)
    assert not error.value.absent


def test_too_large_an_answer_and_no_answer_end_in_time():
    """At most a megabyte is read; a port that accepts and never answers is abandoned."""
    with (
        stand_in("--status-methods", "NONE", "--status-body", "x") as (url, _),
        pytest.raises(StatusUnavailable),
    ):
        status(url)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StatusUnavailable, match="no answer"):
            status(f"http://127.0.0.1:{port}/v1", timeout_s=0.2)
    with pytest.raises(StatusUnavailable, match="no answer"):
        status(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(StatusUnavailable):
        status("http://[::1")


KEYS = st.sampled_from(["workers", "model", "tps", "pid", "memory_gb"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
)


@given(st.binary(max_size=200) | DOCUMENTS.map(lambda document: json.dumps(document).encode()))
def test_any_answer_is_workers_or_one_sentence(body):
    """No other exception, no figure that is not a number, no control character."""
    try:
        workers = parse(body, "http://127.0.0.1/v1/admin/status")
    except StatusUnavailable as error:
        text, workers = str(error), ()
    else:
        text = "".join(worker.model for worker in workers)
    assert all(character.isprintable() or character in "\n\t" for character in text)
    for worker in workers:
        for value in (worker.decode_tps, worker.memory_bytes):
            assert value is None or 0 <= value < float("inf")


def test_a_models_name_cannot_act_on_a_terminal():
    """Escapes are written out, and a very long name is truncated."""
    name = "\x1b[2J" + "x" * 5000
    (worker,) = parse(json.dumps({"workers": [{"model": name}]}).encode(), "here")
    assert worker.model.startswith("\\x1b[2J")
    assert len(worker.model) < 300


def test_the_address_is_found_from_either_form_of_the_base_url():
    """As users write it."""
    for base in ("http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"):
        assert status_url(base) == "http://h:1/v1/admin/status"
