"""No exchange outlives its deadline, and nothing that a server sends is kept without a limit."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from contextlib import contextmanager, suppress

import httpx2
import psutil
import pytest

from qualification.core.errors import WorkerError
from qualification.core.protocol import LoadRequest
from qualification.servers.admin_status import StatusUnavailable, status
from qualification.servers.bounded import MOST_BYTES, Bounds
from qualification.servers.client import client, http_options
from qualification.session.worker import Worker
from qualification.suites.support.raw_http import Server
from qualification.watch.served_subject import ServedSubject
from qualification.watch.subject import RequestFailed

DEADLINE_S = 1.0
GRACE_S = 10.0
"""Enough for a busy machine; none of these servers would end before half a minute."""

GROWTH_BYTES = 128_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
EVENT = b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n'


def silence(connection):
    time.sleep(30)


def drip(connection):
    """A byte of the header now and then."""
    for byte in OK:
        connection.sendall(bytes([byte]))
        time.sleep(0.3)


def dripping_body(connection):
    """Half an event now and then: never a whole line."""
    connection.sendall(OK + b"Connection: close\r\n\r\ndata: ")
    while True:
        connection.sendall(b" ")
        time.sleep(0.3)


def endless_line(connection):
    connection.sendall(OK + b"\r\ndata: ")
    while True:
        connection.sendall(b"x" * 65536)


def endless_stream(connection):
    connection.sendall(OK + b"\r\n")
    while True:
        connection.sendall(EVENT * 500)


def endless_error(connection):
    """A status that makes a client read the whole reply for its message."""
    connection.sendall(b"HTTP/1.1 500 No\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def gzip_bomb(connection):
    """A gigabyte of zeros in a megabyte."""
    packed = gzip.compress(bytes(10_000_000)) * 100
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    connection.sendall(head + packed)


def million_headers(connection):
    connection.sendall(OK)
    for number in range(1_000_000):
        connection.sendall(b"X-%d: y\r\n" % number)


BEHAVIOURS = [
    *(silence, drip, dripping_body, endless_line, endless_stream, endless_error, gzip_bomb),
    million_headers,
]


@contextmanager
def serving(behave, models=True):
    """An address whose chat completions behave like that; its list of models is in order."""
    listener = socket.create_server(("127.0.0.1", 0))
    ending = threading.Event()

    def answer(connection):
        with connection, suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            if models and b"GET /v1/models" in request:
                body = b'{"object": "list", "data": [{"id": "m", "object": "model"}]}'
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n"
                    b"Content-Type: application/json\r\n\r\n%s" % (len(body), body)
                )
                return
            behave(connection)

    def accept():
        while not ending.is_set():
            with suppress(OSError):
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        ending.set()
        listener.close()


@contextmanager
def bounded(process):
    """Within the deadline and the growth that an exchange may have."""
    before, start = process.memory_info().rss, time.monotonic()
    yield
    assert time.monotonic() - start < DEADLINE_S + GRACE_S
    if process.is_running():
        assert process.memory_info().rss - before < GROWTH_BYTES


@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda behave: behave.__name__)
def test_a_clients_exchange_is_bounded(behave):
    """Of the conformance suite's raw HTTP: whole and streamed."""
    with serving(behave) as address:
        server = Server(address, "m")
        server._client = httpx2.Client(**http_options(address, DEADLINE_S))
        for send in (server.chat, server.stream):
            with bounded(psutil.Process()):
                reply = send([{"role": "user", "content": "Hello"}])
            assert reply.failure or reply.status == 500


@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda behave: behave.__name__)
def test_a_watched_servers_answer_is_bounded(behave):
    """A failed request of the soak test, with its reason."""
    with serving(behave) as address:
        subject = ServedSubject(address, deadline_s=DEADLINE_S)
        with bounded(psutil.Process()), pytest.raises(RequestFailed) as failed:
            subject.ask([{"role": "user", "content": "Hello"}])
        subject.close()
    if behave in (silence, drip, dripping_body):
        assert failed.value.kind == "timed_out"


@pytest.mark.slow
@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda behave: behave.__name__)
def test_a_worker_in_front_of_a_server_is_bounded(behave):
    """The first request of a server at a user's address is its load."""
    hangs_up = serving(lambda _connection: None)
    with serving(behave) as address, hangs_up as elsewhere, Worker() as worker:
        warm_up = LoadRequest("server", "hub", "x", server="url", options={"url": elsewhere})
        with suppress(WorkerError):  # its imports are no part of an exchange
            worker.load(warm_up, deadline_s=60)
        process = psutil.Process(worker.pid)
        request = LoadRequest("server", "hub", "x", server="url", options={"url": address})
        with bounded(process), pytest.raises(WorkerError):
            worker.load(request, deadline_s=DEADLINE_S)


@pytest.mark.parametrize("behave", BEHAVIOURS, ids=lambda behave: behave.__name__)
def test_a_servers_own_status_is_bounded(behave):
    """Asked by the watch beside its requests; two exchanges at most."""
    start = time.monotonic()
    with serving(behave) as address, pytest.raises(StatusUnavailable):
        status(address, timeout_s=1.0)
    assert time.monotonic() - start < 2 * 1.0 + GRACE_S


@pytest.mark.parametrize("place", ["http://{}/v1/chat/completions", "file:///etc/hostname"])
def test_no_redirect_is_followed(place):
    """To another host it would carry the key and the images there."""
    visits = []
    with serving(lambda connection: visits.append(1)) as elsewhere:
        host = elsewhere.removeprefix("http://").removesuffix("/v1")

        def redirect(connection):
            target = place.format(host).encode()
            connection.sendall(
                b"HTTP/1.1 307 T\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % target
            )

        with serving(redirect) as address, pytest.raises(Exception, match="307"):
            client(address, timeout_s=DEADLINE_S).chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hello"}]
            )
        assert Server(address, "m").chat([]).status in (0, 307)
    assert not visits


def test_a_good_answer_passes_and_its_deadline_is_forgotten():
    """A later exchange on a connection that stays open is not ended by an earlier one's."""

    def answer(connection):
        for _ in range(2):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            connection.recv(65536)

    with serving(answer) as address:
        bounds = Bounds(60.0)
        options = http_options(address) | {"event_hooks": bounds.hooks()}
        with httpx2.Client(**options | {"limits": httpx2.Limits()}) as http:
            for _ in range(2):
                assert http.get(address).text == "ok"
                assert bounds._timer is None
    assert not bounds.is_late


def test_a_reply_over_its_limit_is_refused_by_name():
    """And not kept."""
    with serving(endless_stream) as address:
        reply = Server(address, "m").chat([])
    assert f"more than {MOST_BYTES:,} bytes" in reply.failure
