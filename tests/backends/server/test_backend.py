"""The backend ``server``: against scripted streams, and with a real program."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.backends.server.backend import Backend
from qualification.backends.server.stream import read
from qualification.backends.server.tokens import Piece, Tokeniser, token_times
from qualification.core.errors import BackendFailed, DeclarationError, WeightsUnavailable
from qualification.core.paths import canaries
from qualification.core.protocol import GenerateRequest, Generation, LoadRequest, Message, Part
from qualification.models.loading import load_registry
from qualification.models.weights import load_request
from qualification.session.worker import Worker

HELLO = (Message("user", (Part("text", "Hello"),)),)
CANARY = canaries() / "smolvlm"


def piece(text):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    head = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "toy"}
    return head | {"choices": [choice]}


def end(reason="stop"):
    return piece("") | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def usage(count):
    return piece("") | {
        "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count},
    }


@pytest.fixture
def scripted():
    """``scripted(chunks)``: a backend at a server that streams these and records ``requests``."""
    script = {"chunks": [], "status": 200, "body": b"", "models": ["toy"], "truncated": False}
    script["tokens"] = []
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def _send(self, status, kind, body):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            fields = {"object": "model", "created": 1, "owned_by": "me"}
            models = [{"id": name, **fields} for name in script["models"]]
            listed = json.dumps({"object": "list", "data": models})
            self._send(200, "application/json", listed.encode())

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            requests.append((self.path, body))
            if self.path == "/tokenize":
                status = 200 if script["tokens"] else 404
                reply = json.dumps({"tokens": script["tokens"]}).encode()
                return self._send(status, "application/json", reply)
            if script["status"] != 200 or not body.get("stream"):
                return self._send(script["status"], "application/json", script["body"])
            lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in script["chunks"]]
            text = "".join([*lines, "" if script["truncated"] else "data: [DONE]\n\n"]).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            if script["truncated"]:
                self.send_header("content-length", str(len(text) + 10))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(text)
            self.close_connection = True
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"

    def loaded(chunks, *, options=None, **settings):
        script.update(chunks=[piece("Hi"), end(), usage(1)])
        backend = Backend()
        options = {"url": url, "model": "toy"} | (options or {})
        backend.load(LoadRequest("server", "hub", "unknown", server="url", options=options))
        script.update(chunks=chunks, **settings)
        requests.clear()
        return backend

    loaded.requests = requests
    loaded.script = script
    loaded.url = url
    yield loaded
    server.shutdown()
    server.server_close()


def test_a_stream_becomes_an_answer(scripted):
    """Text, end, counts, and as many times as tokens."""
    backend = scripted([piece(" red"), piece(" square"), end(), usage(3)])
    answer = backend.generate(GenerateRequest(HELLO, 16, seed=5))
    assert (answer.text, answer.finish_reason, answer.prompt_tokens) == (" red square", "stop", 7)
    assert len(answer.token_times_s) == 3
    path, body = scripted.requests[0]
    assert path == "/v1/chat/completions"
    assert (body["seed"], body["temperature"], body["max_tokens"]) == (5, 0.0, 16)


def test_an_image_is_sent_as_a_data_url(scripted, tmp_path):
    """Its bytes go with the request: a server need not read our disk."""
    backend = scripted([piece("red"), end(), usage(1)])
    Image.new("RGB", (2, 2), "red").save(tmp_path / "a.png")
    parts = (Part("image", str(tmp_path / "a.png")), Part("text", "What is it?"))
    backend.generate(GenerateRequest((Message("user", parts),), 4))
    sent = scripted.requests[0][1]["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["image_url", "text"]
    assert sent[0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_fixed_length_that_is_not_met_is_a_failure(scripted):
    """Speeds over different numbers of tokens do not compare."""
    backend = scripted([piece("a"), piece("b"), end("length"), usage(2)])
    with pytest.raises(BackendFailed, match="gave 2 tokens where exactly 5 were asked for"):
        backend.generate(GenerateRequest(HELLO, 5, fixed_length=True))


def test_a_stream_without_an_end_is_reported_with_the_unstreamed_answer(scripted):
    """Some servers end a failing stream without a reason, after 200."""
    backend = scripted([], body=b'{"error":{"message":"no such image"}}')
    with pytest.raises(BackendFailed, match=r"unstreamed it answers 200: .*no such image"):
        backend.generate(GenerateRequest(HELLO, 5))


def test_a_refusal_and_a_broken_connection_are_reported(scripted):
    """With the status and the server's message; the next request is answered."""
    backend = scripted([], status=400, body=b'{"error":{"message":"context too long"}}')
    with pytest.raises(BackendFailed, match=r"answered 400: .*context too long"):
        backend.generate(GenerateRequest(HELLO, 5))
    scripted.script.update(status=200, chunks=[piece("a")], truncated=True)
    with pytest.raises(BackendFailed, match="broke off its answer"):
        backend.generate(GenerateRequest(HELLO, 5))
    scripted.script.update(chunks=[piece("a"), end(), usage(1)], truncated=False)
    assert backend.generate(GenerateRequest(HELLO, 5)).text == "a"


def test_a_clip_is_refused_with_a_sentence(scripted):
    """The protocol has no video."""
    backend = scripted([end()])
    message = Message("user", (Part("video", "somewhere"),))
    with pytest.raises(BackendFailed, match="no video"):
        backend.generate(GenerateRequest((message,), 5))


def test_a_server_with_several_models_needs_a_name(scripted):
    """The sentence lists its models."""
    scripted.script["models"] = ["large", "small"]
    with pytest.raises(WeightsUnavailable, match=r"serves 2 models; name one .*: large, small"):
        scripted([], options={"model": ""})


def test_an_address_without_a_server_is_one_sentence():
    """Nothing is started there."""
    request = LoadRequest("server", "hub", "x", server="url", options={"url": "http://127.0.0.1:9"})
    with pytest.raises(WeightsUnavailable, match="is the server running there"):
        Backend().load(request)


@given(
    times=st.lists(st.floats(0, 100), min_size=1, max_size=20).map(sorted),
    count=st.integers(1, 40),
    steps=st.lists(st.integers(0, 4), min_size=20, max_size=20),
    is_counted=st.booleans(),
)
def test_token_times_keep_the_measured_ones(times, count, steps, is_counted):
    """One time per token, never backwards; those of the first and the last piece stay."""
    pieces, so_far = [], 0
    for time_s, step in zip(times, steps, strict=False):
        so_far += step
        pieces.append(Piece("x", time_s, so_far if is_counted else None))
    tokens = token_times(pieces, count)
    assert len(tokens) == count
    assert list(tokens) == sorted(tokens)
    assert tokens[-1] == (times[-1] if count > 1 or is_counted else tokens[-1])
    assert tokens[0] == times[0] or is_counted
    assert all(times[0] <= time_s <= times[-1] for time_s in tokens)


def arriving(*gaps_ms):
    """Pieces that arrive after these milliseconds."""
    return [Piece("x", time_s) for time_s in itertools.accumulate(gap / 1000 for gap in gaps_ms)]


def speed(pieces, count):
    """The decoding speed of an answer of so many tokens."""
    times = token_times(pieces, count)
    return Generation("x", times, times[-1], 1, -1, "length").decode_tps


@pytest.mark.parametrize(
    "gaps_ms",
    [
        [20.0, *[0.02] * 63],  # one read
        [20.0, *[0.02] * 31, 8.0, *[0.02] * 31],  # two reads
        [20.0, *[0.02] * 40, 3.0, 3.0, *[0.02] * 21],  # four, of which one has most
    ],
)
@pytest.mark.parametrize("count", [64, 80])
def test_a_burst_of_pieces_is_no_decoding_speed(gaps_ms, count):
    """The first token is timed all the same: 53,306 tok/s of a canary were a buffer's."""
    pieces = arriving(*gaps_ms)
    times = token_times(pieces, count)
    assert (times[0], times[-1]) == (pieces[0].time_s, pieces[-1].time_s)
    assert math.isnan(speed(pieces, count))


@pytest.mark.parametrize(
    ("gaps_ms", "expected"),
    [
        ([20.0, *[2.0] * 63], 500.0),  # each token by itself
        ([20.0, *([0.02] * 7 + [3.86]) * 7, *[0.02] * 7], 2238.8),  # eight reads of eight tokens
        ([20.0, 1.0], 1000.0),
    ],
)
def test_pieces_that_arrive_in_several_reads_are_a_speed(gaps_ms, expected):
    """A few of them in one read change little."""
    assert speed(arriving(*gaps_ms), len(gaps_ms)) == pytest.approx(expected, rel=1e-3)


KEYS = (
    *("choices", "delta", "content", "usage", "timings", "predicted_n", "error", "message"),
    *("logprobs", "top_logprobs", "finish_reason", "prompt_tokens"),
)
CHUNKS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(st.text(max_size=20) | CHUNKS.map(json.dumps), max_size=5))
def test_any_stream_is_an_answer_or_one_failure(events):
    """A stream is hostile: it causes no other exception."""
    try:
        answer = read([(0.1 * number, data) for number, data in enumerate(events)])
    except BackendFailed:
        return
    assert isinstance(answer.text, str)


def test_ids_come_from_the_models_own_tokeniser():
    """From the canary's folder; none without a tokeniser."""
    pytest.importorskip("tokenizers")
    assert len(Tokeniser(CANARY, "").ids(" black triangle")) == 2
    assert Tokeniser(None, "").ids("black") == ()


def test_a_servers_own_tokeniser_comes_before_the_folders(scripted):
    """A GGUF file has its own: Moondream2's numbers are not those of the folder's file."""
    pytest.importorskip("tokenizers")
    scripted.script["tokens"] = [342]
    assert Tokeniser(CANARY, scripted.url).ids("black") == (342,)
    scripted.script["tokens"] = []
    assert Tokeniser(CANARY, scripted.url).ids("black") == Tokeniser(CANARY, "").ids("black")
    assert [path for path, _ in scripted.requests] == ["/tokenize"] * 2


@pytest.mark.slow
def test_a_worker_serves_asks_measures_and_ends(tmp_path):
    """A real llama_cpp.server: loaded, asked, its memory read, killed, asked again."""
    deployment = load_registry().deployment("smolvlm-canary-f32@llama_cpp.server")
    request = load_request(deployment)
    with Worker() as worker:
        report = worker.load(request, deadline_s=300)
        assert report.address.startswith("http://127.0.0.1:")
        assert report.versions["llama-cpp-python"]
        answer = worker.generate(GenerateRequest(HELLO, 8, fixed_length=True), deadline_s=60)
        assert len(answer.token_times_s) == 8
        memory = worker.memory()
        assert memory.peak_memory_bytes > 50_000_000
        descendants = psutil.Process(worker.pid).children(recursive=True)
        (server,) = [process for process in descendants if "--model" in process.cmdline()]
        os.kill(server.pid, signal.SIGKILL)
        server.wait(20)
        with pytest.raises(BackendFailed, match="has ended since its last answer"):
            worker.generate(GenerateRequest(HELLO, 8), deadline_s=300)
        assert worker.generate(GenerateRequest(HELLO, 8), deadline_s=300).finish_reason
        scratch = worker.scratch
    assert not scratch.exists()


@pytest.mark.slow
def test_a_stranger_on_the_requested_port_is_named_and_left_alone():
    """The record names the process that has the port, and it still listens."""
    deployment = load_registry().deployment("smolvlm-canary-f32@llama_cpp.server")
    request = load_request(deployment)
    with socket.create_server(("127.0.0.1", 0)) as stranger, Worker() as worker:
        port = stranger.getsockname()[1]
        request = dataclasses.replace(request, options=request.options | {"port": port})
        report = worker.load(request, deadline_s=300)
        (note,) = [note for note in report.notes if f"port {port}" in note]
        assert f"(pid {os.getpid()})" in note
        assert f":{port}/" not in report.address
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            stranger.accept()[0].close()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('server = "llama-server"\n', "", "names its program"),
        ('server = "llama-server"', 'server = "url"', "write where the server is"),
        ('server = "llama-server"', 'server = "ollama"', "write one of"),
        ('model_file = "gguf/model.gguf"\n', "", "name of the language model"),
    ],
)
def test_a_wrong_declaration_of_a_server_is_one_sentence(tmp_path, old, new, problem):
    """File, entry, key and what to write."""
    from qualification.core.paths import DECLARATIONS

    for file in DECLARATIONS.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    text = (tmp_path / "models.toml").read_text(encoding="utf-8")
    start = text.index('server = "llama-server"')
    (tmp_path / "models.toml").write_text(
        text[:start] + text[start:].replace(old, new, 1), encoding="utf-8"
    )
    with pytest.raises(DeclarationError, match=problem):
        load_registry(tmp_path)


def test_a_users_server_is_the_only_deployment():
    """Named after its model and its address; no declared deployment is tested beside it."""
    registry = load_registry().with_server("http://127.0.0.1:8080/v1", "org/Some Model")
    (deployment,) = registry.deployments()
    assert deployment.identifier == "Some-Model-as-served@127.0.0.1:8080"
    assert dataclasses.asdict(deployment.source)["options"]["url"] == "http://127.0.0.1:8080/v1"
