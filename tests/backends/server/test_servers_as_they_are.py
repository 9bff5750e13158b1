"""What keeps a user's server from answering is waited for, left out or named; never the model's."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qualification.backends.server.backend import Backend
from qualification.core.declarations import Deployment
from qualification.core.errors import (
    BackendFailed,
    WeightsError,
    WeightsUnavailable,
    WorkerTimedOut,
)
from qualification.core.protocol import GenerateRequest, LoadRequest, Message, Part
from qualification.models.loading import load_registry
from qualification.session.session import is_its_own_fault

HELLO = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=4, seed=7)
ANSWER = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
]


@contextmanager
def serving(reply):
    """An address; ``reply(body)`` is None for an answer, or (status, message, headers)."""
    bodies = []

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self._say(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                self._say(404, {})
                return
            bodies.append(body)
            refusal = reply(body)
            if refusal is not None:
                status, message, headers = refusal
                self._say(status, {"error": {"message": message}}, headers)
                return
            events = b"".join(b"data: %s\n\n" % json.dumps(e).encode() for e in ANSWER)
            self._send(200, "text/event-stream", events + b"data: [DONE]\n\n", {})

        def _say(self, status, document, headers=()):
            self._send(status, "application/json", json.dumps(document).encode(), dict(headers))

        def _send(self, status, kind, content, headers):
            self.send_response(status)
            for name, value in {"Content-Type": kind, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", bodies
    finally:
        server.shutdown()
        server.server_close()


def loaded(address):
    """A backend in front of a server, and its report."""
    backend = Backend()
    report = backend.load(LoadRequest("server", "hub", "x", server="url", options={"url": address}))
    return backend, report


@pytest.mark.parametrize(
    ("status", "message", "headers"),
    [
        (503, "Loading model", {}),
        (429, "too many requests", {"Retry-After": "1"}),
        (503, "busy", {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}),
    ],
)
def test_a_server_that_is_loading_or_busy_is_asked_again(status, message, headers):
    """Its time counts from the request that was answered."""
    tries = []

    def reply(_body):
        tries.append(1)
        return (status, message, headers) if len(tries) < 3 else None

    with serving(reply) as (address, _):
        backend, report = loaded(address)
        assert len(tries) == 3
        tries.clear()
        start = time.monotonic()
        answer = backend.generate(HELLO)
        assert (answer.text, answer.finish_reason) == ("Hi", "stop")
        assert answer.e2e_s < time.monotonic() - start - 1.0
        backend.unload()
    assert report.served_as == "m"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("seed", "Unrecognized request argument supplied: seed"),
        ("stream_options", "extra fields not permitted: stream_options"),
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    ],
)
def test_a_field_that_a_server_refuses_is_left_out_and_said(field, message):
    """It is asked once with it, and never again."""
    with serving(lambda body: (400, message, {}) if field in body else None) as (address, bodies):
        backend, report = loaded(address)
        assert backend.generate(HELLO).text == "Hi"
        backend.unload()
    assert f"the server refuses {field}: it is left out" in report.notes
    assert [field in body for body in bodies] == [True, False, False]
    if field == "max_tokens":
        assert bodies[-1]["max_completion_tokens"] == 4


def test_a_refusal_of_the_request_itself_is_a_failure():
    """No field of ours is to blame, so it is not tried again."""
    with serving(lambda _: None) as (address, _):
        backend, _ = loaded(address)
    with serving(lambda _: (400, "the prompt is too long", {})) as (address, bodies):
        backend._open(address)
        with pytest.raises(BackendFailed, match=r"400: .*the prompt is too long"):
            backend.generate(HELLO)
        assert len(bodies) == 1
        backend.unload()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_server_that_cannot_be_asked_is_not_the_models_fault(status):
    """Wrong credentials, another path, a fault of its own."""
    with (
        serving(lambda _: (status, "no", {})) as (address, _),
        pytest.raises(WeightsUnavailable, match=f"cannot be asked: .* answered {status}"),
    ):
        loaded(address)


def test_only_what_the_model_or_its_library_did_counts_against_it():
    """A damaged download or a user's server leaves it untested; a canary's file is ours."""
    registry = load_registry()
    canary = registry.deployment("smolvlm-canary-f32@mlx")
    real = next(d for d in registry.deployments() if d.source.weights == "hub")
    (url,) = registry.with_server("http://127.0.0.1:1/v1").deployments()
    assert isinstance(url, Deployment)
    assert is_its_own_fault(canary, WeightsError("damaged"))
    assert not is_its_own_fault(real, WeightsError("damaged"))
    assert not is_its_own_fault(real, WeightsUnavailable("not here"))
    assert is_its_own_fault(real, BackendFailed("wrong shape"))
    assert is_its_own_fault(real, WorkerTimedOut("hangs"))
    assert not is_its_own_fault(url, WorkerTimedOut("hangs"))
