"""The official client, set up so that a server gets only what is meant for it."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest

from qualification.servers.client import async_client, client, is_loopback

SECRETS = {
    "OPENAI_API_KEY": "sk-of-the-real-service",
    "OPENAI_ORG_ID": "org-of-the-user",
    "OPENAI_PROJECT_ID": "project-of-the-user",
}


@pytest.fixture
def server():
    """A server that fails every request; ``requests`` has the headers of each, in lower case."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            requests.append({name.lower(): value for name, value in self.headers.items()})
            body = json.dumps({"error": {"message": "overloaded"}}).encode()
            self.send_response(503)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        listening.requests = requests
        listening.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
        yield listening
        listening.shutdown()
        thread.join()


def ask(url):
    """A request that fails, by the client for one request at a time."""
    with client(url) as api, pytest.raises(openai.InternalServerError):
        api.models.list()


def ask_async(url):
    """The same, by the client for many requests at once."""

    async def run():
        async with async_client(url) as api:
            with pytest.raises(openai.InternalServerError):
                await api.models.list()

    asyncio.run(run())


@pytest.mark.parametrize("ask", [ask, ask_async])
def test_keys_of_the_real_service_are_not_sent(server, monkeypatch, ask):
    """Neither the key nor the organisation nor the project of the environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("QUALIFY_API_KEY", raising=False)
    ask(server.url)
    (headers,) = server.requests
    assert not set(SECRETS.values()) & set(" ".join(headers.values()).split())
    assert headers["authorization"] == "Bearer none"


@pytest.mark.parametrize("ask", [ask, ask_async])
def test_the_key_for_this_server_is_sent(server, monkeypatch, ask):
    """It has a variable of its own."""
    monkeypatch.setenv("QUALIFY_API_KEY", "its-key")
    ask(server.url)
    assert server.requests[0]["authorization"] == "Bearer its-key"


@pytest.mark.parametrize("ask", [ask, ask_async])
def test_a_failed_request_is_not_retried(server, ask):
    """A retry would be part of a measured time."""
    ask(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("ask", [ask, ask_async])
def test_a_proxy_is_not_used_for_this_machine(server, monkeypatch, ask):
    """The request arrives, although the environment names a proxy that does not exist."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    ask(server.url)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://127.8.8.8/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8080/v1", True),
        ("http://192.168.0.2/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("https://localhost.example.com/v1", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_loopback_addresses(address, expected):
    """A name that only looks like one is another machine."""
    assert is_loopback(address) is expected
