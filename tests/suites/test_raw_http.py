"""Raw requests and replies of the conformance suite, and the requests that must be refused."""

import io
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.suites.support.bad_requests import (
    BOMB_PIXELS,
    FILE_BYTES,
    BadRequest,
    bomb_png,
    fault,
    has_openai_shape,
    large_png,
    refusal_text,
)
from qualification.suites.support.raw_http import HttpReply, Server, encoded, events, user

REFUSAL = HttpReply(400, "application/json", b'{"error": {"message": "no such model"}}')


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (REFUSAL, ""),
        (HttpReply(422, body=b'{"detail": "Missing"}'), ""),
        (HttpReply(400, body=b'{"error": "a text"}'), ""),
        (HttpReply(400, body=b"Bad Request"), "without a sentence"),
        (HttpReply(400, body=b'{"error": {}}'), "without a sentence"),
        (HttpReply(500, body=b'{"error": {"message": "oh"}}'), "answered with 500"),
        (HttpReply(200, body=b'{"choices": []}'), "answered with 200"),
        (HttpReply(302), "answered with 302"),
        (HttpReply(0, failure="ReadTimeout: timed out"), "not answered: ReadTimeout"),
    ],
)
def test_a_refusal_is_4xx_with_a_sentence(reply, expected):
    """Never 200, never 500, never silence."""
    problem = fault(BadRequest("x", lambda *_: reply), reply)
    assert (expected in problem) if expected else not problem


def test_a_large_request_may_be_answered():
    """A large request is not wrong, but it must not fail with 500."""
    large = BadRequest("x", lambda *_: REFUSAL, may_answer=True)
    assert not fault(large, HttpReply(200, body=b'{"choices": []}'))
    assert fault(large, HttpReply(500))


NAMES = ("error", "message", "detail", "choices", "delta", "content", "usage", "x")
ANYTHING = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


@given(ANYTHING)
def test_any_json_is_read(content):
    """A server may send any JSON, streamed or not."""
    text = json.dumps(content)
    reply = HttpReply(400, body=text.encode())
    assert isinstance(refusal_text(reply), str)
    assert has_openai_shape(reply) in (True, False)
    for variant in (reply, HttpReply(200, events=(text, "[DONE]", "{"))):
        assert isinstance(variant.text, str)
        assert isinstance(variant.usage, dict)
        assert str(variant).isprintable()
    assert reply.finish_reason is None


@given(st.binary(max_size=400))
def test_any_bytes_of_an_answer_are_read(body):
    """A body that is not JSON has no answer, and its text form is printable."""
    reply = HttpReply(200, body=body)
    assert isinstance(reply.text, str)
    assert str(reply).isprintable()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)))
def test_events_of_a_stream_are_read_back(values):
    """Each value is one event, whatever comments and other fields lie between them."""
    lines = [line for value in values for line in (": ping", "event: x", f"data: {value}", "")]
    assert list(events(iter(lines))) == values


def test_an_event_of_several_lines_is_one():
    """An event that the end of the connection truncates counts too."""
    assert list(events(iter(["data: a", "data:b", "", "data: [DONE]"]))) == ["a\nb", "[DONE]"]


class Toy(BaseHTTPRequestHandler):
    """Streams three pieces or refuses; drops the connection for the model ``drop``."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if request["model"] == "drop":
            self.close_connection = True
            return
        if not request.get("stream"):
            self._send(400, "application/json", [b'{"error": {"message": "stream only"}}'])
            return
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("red", " ", "circle")]
        stream = [f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces]
        self._send(200, "text/event-stream", [*stream, b"data: [DONE]\n\n"])

    def _send(self, status, kind, pieces):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        for piece in pieces:
            self.wfile.write(piece)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def toy():
    """The address of a real server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Toy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_stream_and_a_refusal_come_back_as_they_are(toy):
    """The joined pieces, the last event and the status; a refused stream is not a stream."""
    server = Server(toy, "x")
    streamed = server.stream([user("hello")])
    assert (streamed.status, streamed.text) == (200, "red circle")
    assert streamed.events[-1] == "[DONE]"
    assert has_openai_shape(server.chat([user("hello")]))
    dropped = server.stream([user("hello")], until=lambda event: "red" in event)
    assert dropped.text == "red"
    server.close()


def test_a_dropped_connection_is_a_reply_too(toy):
    """Status 0 and the reason, as for an address where nobody listens."""
    for server in (Server(toy, "drop"), Server("http://127.0.0.1:1/v1", "x")):
        for reply in (server.chat([user("hello")]), server.stream([user("hello")])):
            assert reply.status == 0
            assert reply.failure
        server.close()


def test_the_large_image_is_an_image():
    """It has 50 MB, and any library opens it."""
    content = large_png()
    assert abs(len(content) - FILE_BYTES) < 0.01 * FILE_BYTES
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.mode == "RGB"


@pytest.mark.slow
def test_the_bomb_is_small_and_wide():
    """Pillow refuses the size in its header; its data is complete."""
    content = bomb_png()
    assert len(content) < 1_000_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))
    start = content.index(b"IDAT") + 4
    unpacker, unpacked = zlib.decompressobj(), 0
    packed = content[start : content.index(b"IEND") - 8]
    while packed:
        unpacked += len(unpacker.decompress(packed, 1 << 20))
        packed = unpacker.unconsumed_tail
    assert unpacked + len(unpacker.flush()) == BOMB_PIXELS * (1 + BOMB_PIXELS // 8)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_an_image_is_encoded_in_each_format(kind):
    """The file has the format and the size of the image."""
    image = Image.new("RGB", (32, 16), "purple")
    with Image.open(io.BytesIO(encoded(image, kind))) as decoded:
        assert decoded.format == kind.upper()
        assert decoded.size == image.size
