"""Servers are known by a route that only they have; a hostile reply is no program's."""

import http.server
import json
import threading
from contextlib import contextmanager
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.see.stand_ins import MODEL, Behaviour, serving
from qualification.models.loading import load_registry
from qualification.models.weights import load_request
from qualification.servers import identity
from qualification.servers.identity import Identity, identified, root_of
from qualification.session.worker import Worker

REAL = {
    "llama.cpp": ("llama-server", "xllamacpp", 2048),
    "llama_cpp.server": ("llama_cpp.server", "llama_cpp", 0),
    "mlx_vlm.server": ("mlx_vlm.server", "mlx_vlm", 2048),
    "transformers-serve": ("transformers-serve", "transformers", 0),
}


@contextmanager
def answering(routes):
    """The address of a server that has these routes alone."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            content = json.dumps(routes.get(self.path)).encode()
            self.send_response(200 if self.path in routes else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", [p if p == "llama.cpp" else pytest.param(p, marks=pytest.mark.long) for p in REAL]
)
def test_a_real_server_is_known(program):
    """By its own routes, with the context that is in force where it says so."""
    name, library, context = REAL[program]
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    with Worker() as worker:
        deployment = load_registry().deployment(f"smolvlm-canary-f32@{program}")
        report = worker.load(load_request(deployment), deadline_s=300)
        server = identified(report.address)
        assert server.program == name
        assert server.context(report.served_as) == context


@pytest.mark.parametrize("api", ["ollama", "lm-studio"])
def test_a_stand_in_is_known_by_its_documented_routes(api):
    """Ollama, and LM Studio, which answers every route with 200."""
    with serving(Behaviour(api, context=8192)) as address:
        for end in ("", "/v1", "/api"):
            server = identified(address + end)
            assert server.program == api
            assert server.loaded == (MODEL,)
            assert server.context(MODEL) == 8192
            assert server.context("another:1b") == 0


def test_vllm_is_known_by_its_version_and_its_limits():
    """As its documentation has them."""
    routes = {
        "/version": {"version": "0.14.0"},
        "/v1/models": {"data": [{"id": "m", "max_model_len": 32768}]},
    }
    with answering(routes) as address:
        assert identified(address) == Identity("vllm", "0.14.0", {"m": 32768})


@pytest.mark.parametrize(
    "routes",
    [
        {},
        {"/props": [1]},
        {"/props": {"default_generation_settings": 3}},
        {"/api/version": {"version": "1"}},
        {"/api/version": {"version": "1"}, "/api/tags": {"models": 1}},
        {"/api/v0/models": {"data": [{"id": "m"}]}},
        {"/api/v0/models": {"data": [3]}},
        {"/version": {"version": "1"}, "/v1/models": {"data": [{"id": "m", "max_model_len": "x"}]}},
        {"/openapi.json": {"paths": []}},
    ],
)
def test_another_shape_is_another_program(routes):
    """Nothing is known, and nothing is raised."""
    with answering(routes) as address:
        assert identified(address) == Identity()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "models", "id", "name", "state", "version", "context_length"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
@settings(max_examples=200)
def test_a_hostile_reply_is_no_programs(reply):
    """Each recogniser takes any JSON."""
    for recognise in (
        *(identity._llama_server, identity._ollama, identity._lm_studio),
        *(identity._mlx_vlm, identity._fastapi, identity._vllm),
    ):
        try:
            server = recognise(lambda _route: reply)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # what identified() catches
        assert server is None or isinstance(server, Identity)


@pytest.mark.parametrize(
    ("address", "root"),
    [
        ("http://h:1/v1/", "http://h:1"),
        ("http://h:1/api", "http://h:1"),
        ("https://h/llm/v1", "https://h/llm"),
        ("http://h", "http://h"),
    ],
)
def test_the_root_is_the_address_without_its_api(address, root):
    """What routes are asked below."""
    assert root_of(address) == root
