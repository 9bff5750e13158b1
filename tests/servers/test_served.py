"""Which model a foreign server serves, asked before a run; nothing that it does is an error."""

import json
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from qualification.servers import served
from qualification.servers.client import KEY
from qualification.servers.served import only_model
from qualification.servers.served import served as asked


@contextmanager
def serving(routes, key=""):
    """A server whose routes answer so; yields its root, and the keys that it was sent."""
    keys = []

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            keys.append(self.headers.get("Authorization", ""))
            reply, status = routes.get(self.path, ({}, 404)), 200
            if isinstance(reply, tuple):
                reply, status = reply
            if key and keys[-1] != f"Bearer {key}":
                reply, status = {"error": {"message": "no key"}}, 401
            if callable(reply):
                reply = reply()
            content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            with suppress(OSError):  # nobody waits for it any more
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", keys
    finally:
        server.shutdown()
        server.server_close()


def models(*names):
    """A list of models."""
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_the_only_model_is_named_however_the_address_ends(end):
    """With the /v1 that the API has, or without."""
    with serving({"/v1/models": models("org/name")}) as (root, _):
        assert only_model(root + end) == "org/name"


def test_a_list_beside_its_usual_place_is_read_too():
    """An address is taken as it is written where it has no /v1."""
    with serving({"/llm/models": models("name")}) as (root, _):
        assert asked(f"{root}/llm").models == ("name",)


def test_of_several_models_none_is_meant_unless_one_is_loaded():
    """LM Studio lists what lies on the disk."""
    routes = {"/v1/models": models("a", "b")}
    with serving(routes) as (root, _):
        assert asked(root).models == ("a", "b")
        assert only_model(root) == ""
        states = [{"id": "a", "state": "not-loaded"}, {"id": "b", "state": "loaded"}]
        routes["/api/v0/models"] = {"data": states}
        assert only_model(root) == "b"


def test_the_key_is_sent_only_where_it_is_asked_for(monkeypatch):
    """Without one, the server stays unnamed."""
    monkeypatch.delenv(KEY, raising=False)
    with serving({"/v1/models": models("name")}, key="secret") as (root, keys):
        assert only_model(root) == ""
        monkeypatch.setenv(KEY, "secret")
        assert only_model(root) == "name"
        place = keys.index("Bearer secret")
        assert place > 1
        assert set(keys[:place]) == {"", "Bearer none"}
    with serving({"/v1/models": models("name")}) as (root, keys):
        assert only_model(root) == "name"
        assert set(keys) == {"", "Bearer none"}


@pytest.mark.parametrize(
    "reply",
    [b"<html>", b"{", {"data": None}, {"data": [{}]}, [], {"data": [{"id": 7}]}, ({}, 500), b""],
)
def test_what_is_no_list_names_no_model(reply):
    """A foreign server may answer anything."""
    with serving({"/v1/models": reply}) as (root, _):
        assert only_model(root) == ""
        assert only_model(root) == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://[::1", "nonsense", "http://h:x"])
def test_where_nobody_answers_no_model_is_named(url):
    """No server, or no address."""
    assert only_model(url) == ""


def test_a_server_that_does_not_answer_is_waited_for_briefly(monkeypatch):
    """Not once for each place where the list may be."""
    monkeypatch.setattr(served, "DEADLINE_S", 0.3)
    with serving({"/v1/models": lambda: time.sleep(1.0) or models("name")}) as (root, _):
        start = time.monotonic()
        assert only_model(root) == ""
        assert time.monotonic() - start < 0.9
