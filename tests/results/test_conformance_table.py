"""The conformance table, and the raw requests and replies that its suite is made of."""

import io
import json
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from qualification.core.results import Check
from qualification.models.loading import load_registry
from qualification.results.conformance_table import REQUIREMENTS, Cell, conformance
from qualification.results.report import render
from qualification.suites.support.bad_requests import (
    BAD_REQUESTS,
    BOMB_PIXELS,
    FILE_BYTES,
    BadRequest,
    as_openai,
    bomb_png,
    fault,
    large_png,
    message,
)
from qualification.suites.support.raw_http import Reply, Server, encoded, events, user
from tests.support.session_sample import results

LLAMA, QWEN, MLX = (
    "smolvlm-canary-f32@llama-server",
    "qwen2.5-vl-canary-f32@llama-server",
    "smolvlm-canary-f32@mlx_vlm.server",
)
REGISTRY = load_registry()


def table(*checks):
    """The table of checks of the suite, each (deployment, test, outcome[, known bug])."""
    return conformance(
        [Check(one[0], "conformance", one[1], one[2], "", *one[3:]) for one in checks],
        REGISTRY.deployments(),
        REGISTRY.bugs,
    )


def test_nothing_is_shown_where_no_server_was_run():
    """No table, rather than an empty one; other suites have no row in it."""
    other = Check(LLAMA, "load", "test_loads", "passed")
    assert conformance([other], REGISTRY.deployments(), REGISTRY.bugs) is None
    for text in render(results(), REGISTRY).values():
        assert "what they answer" not in text


def test_deployments_that_agree_share_a_column():
    """A server is one column where all its deployments fared alike."""
    test = "test_refuses[no_body]"
    found = table((LLAMA, test, "passed"), (QWEN, test, "passed"), (MLX, test, "failed"))
    assert found.columns == ("llama-server", "mlx_vlm.server")
    ((heading, rows),) = found.sections
    assert "Refused" in heading
    assert rows == (("no body", (Cell("yes"), Cell("no"))),)


def test_deployments_that_differ_have_a_column_each():
    """What one of them could not be asked is no difference."""
    test, pair = "test_refuses[no_body]", "test_answers_about_two_pictures"
    found = table((LLAMA, test, "passed"), (QWEN, test, "failed"))
    assert set(found.columns) == {LLAMA, QWEN}
    found = table((LLAMA, test, "passed"), (QWEN, test, "passed"), (QWEN, pair, "passed"))
    assert found.columns == ("llama-server",)


def test_a_known_bug_has_a_note_with_its_title():
    """Each bug has one number, however many cells name it."""
    bug = next(one for one in REGISTRY.bugs if one.identifier == "llama-server-500")
    found = table(
        (LLAMA, "test_refuses[no_body]", "xfailed", bug.identifier),
        (LLAMA, "test_refuses[bad_json]", "xfailed", bug.identifier),
        (MLX, "test_refuses[no_body]", "passed"),
    )
    assert found.notes == ((bug.identifier, bug.title),)
    ((_, rows),) = found.sections
    assert rows[0] == ("no body", (Cell("known bug", 1), Cell("yes")))
    assert rows[1] == ("bad JSON", (Cell("known bug", 1), Cell("undeclared")))


def test_the_worst_outcome_of_a_test_counts():
    """A call that passed and an end that failed is no yes."""
    test = "test_health_is_answered"
    for checks in (
        [(LLAMA, test, "passed"), (LLAMA, test, "error")],
        [(LLAMA, test, "error"), (LLAMA, test, "passed")],
    ):
        ((_, rows),) = table(*checks).sections
        assert rows[0][1] == (Cell("no"),)


def test_both_documents_have_the_table():
    """With the headings, the marks and the notes."""
    checks = (
        Check(LLAMA, "conformance", "test_refuses[bad_json]", "xfailed", "", "llama-server-500"),
        Check(LLAMA, "conformance", "test_refuses[<b>|x]", "passed"),
    )
    for name, text in render(results(checks=checks), REGISTRY).items():
        section = text.split("what they answer")[1].split("## Why" if ".md" in name else "Why<")[0]
        assert "bad JSON" in section
        assert "known bug" in section
        assert "llama-server-500" in section
        assert "<b>" not in section
    lines = [
        line for line in render(results(checks=checks), REGISTRY)["recommendations.md"].splitlines()
        if line.startswith("| bad JSON")
    ]  # fmt: skip
    assert lines == ["| bad JSON | known bug (1) |"]


def test_every_test_of_the_suite_has_a_row():
    """A test that is added or renamed gets a sentence of its own."""
    from qualification.core.paths import home

    suite = (home() / "qualification/suites/test_conformance.py").read_text()
    rows = {test for texts in REQUIREMENTS.values() for test in texts}
    assert {row.partition("[")[0] for row in rows} == {
        line.removeprefix("def ").partition("(")[0]
        for line in suite.splitlines()
        if line.startswith("def test_")
    }
    refused = {f"test_refuses[{case.name}]" for case in BAD_REQUESTS}
    assert refused == {row for row in rows if row.startswith("test_refuses[")}


REFUSAL = Reply(400, "application/json", b'{"error": {"message": "no such model"}}')


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        (REFUSAL, ""),
        (Reply(422, body=b'{"detail": "Missing"}'), ""),
        (Reply(400, body=b'{"error": "a text"}'), ""),
        (Reply(400, body=b"Bad Request"), "without a sentence"),
        (Reply(400, body=b'{"error": {}}'), "without a sentence"),
        (Reply(500, body=b'{"error": {"message": "oh"}}'), "answered with 500"),
        (Reply(200, body=b'{"choices": []}'), "answered with 200"),
        (Reply(302), "answered with 302"),
        (Reply(0, broken="ReadTimeout: timed out"), "not answered: ReadTimeout"),
    ],
)
def test_a_refusal_is_4xx_with_a_sentence(reply, wrong):
    """Never 200, never 500, never silence."""
    said = fault(BadRequest("x", lambda *_: reply), reply)
    assert (wrong in said) if wrong else not said


def test_a_large_request_may_be_answered():
    """It is not wrong; but it may not fail with 500."""
    large = BadRequest("x", lambda *_: REFUSAL, may_answer=True)
    assert not fault(large, Reply(200, body=b'{"choices": []}'))
    assert fault(large, Reply(500))


NAMES = ("error", "message", "detail", "choices", "delta", "content", "usage", "x")
ANYTHING = st.recursive(
    st.none() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)


@given(ANYTHING)
def test_any_json_is_read(content):
    """A server may say anything, whole or streamed."""
    text = json.dumps(content)
    reply = Reply(400, body=text.encode())
    assert isinstance(message(reply), str)
    assert as_openai(reply) in (True, False)
    for one in (reply, Reply(200, events=(text, "[DONE]", "{"))):
        assert isinstance(one.text, str)
        assert isinstance(one.usage, dict)
        assert str(one).isprintable()
    assert reply.finish_reason is None


@given(st.binary(max_size=400))
def test_any_bytes_of_an_answer_are_read(body):
    """What is no JSON is no answer; shown, it is printable."""
    reply = Reply(200, body=body)
    assert isinstance(reply.text, str)
    assert str(reply).isprintable()


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)))
def test_events_of_a_stream_are_read_back(values):
    """One event per value, whatever comments and other fields stand between them."""
    lines = [line for value in values for line in (": ping", "event: x", f"data: {value}", "")]
    assert list(events(iter(lines))) == values


def test_an_event_of_several_lines_is_one():
    """And one that the connection's end cuts off still counts."""
    assert list(events(iter(["data: a", "data:b", "", "data: [DONE]"]))) == ["a\nb", "[DONE]"]


class Toy(BaseHTTPRequestHandler):
    """Streams three pieces, or refuses; drops the connection where it is told to."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "drop":
            self.close_connection = True
            return
        if not asked.get("stream"):
            self._send(400, "application/json", [b'{"error": {"message": "stream only"}}'])
            return
        pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("red", " ", "circle")]
        sent = [f"data: {json.dumps(piece)}\n\n".encode() for piece in pieces]
        self._send(200, "text/event-stream", [*sent, b"data: [DONE]\n\n"])

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
    """The pieces put together, the last event, the status; a refused stream is no stream."""
    server = Server(toy, "x")
    streamed = server.stream([user("hello")])
    assert (streamed.status, streamed.text) == (200, "red circle")
    assert streamed.events[-1] == "[DONE]"
    assert as_openai(server.chat([user("hello")]))
    first = server.stream([user("hello")], until=lambda event: "red" in event)
    assert first.text == "red"
    server.close()


def test_a_dropped_connection_is_an_answer_too(toy):
    """Status 0 and the reason; nobody listening is the same."""
    for server in (Server(toy, "drop"), Server("http://127.0.0.1:1/v1", "x")):
        for reply in (server.chat([user("hello")]), server.stream([user("hello")])):
            assert reply.status == 0
            assert reply.broken
        server.close()


def test_the_large_picture_is_a_picture():
    """Of 50 MB, and any library opens it."""
    content = large_png()
    assert abs(len(content) - FILE_BYTES) < 0.01 * FILE_BYTES
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert picture.mode == "RGB"


@pytest.mark.slow
def test_the_bomb_is_small_and_wide():
    """Pillow refuses it by the size in its header; its data is complete."""
    content = bomb_png()
    assert len(content) < 1_000_000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(content))
    start = content.index(b"IDAT") + 4
    unpacker, unpacked = zlib.decompressobj(), 0
    rest = content[start : content.index(b"IEND") - 8]
    while rest:
        unpacked += len(unpacker.decompress(rest, 1 << 20))
        rest = unpacker.unconsumed_tail
    assert unpacked + len(unpacker.flush()) == BOMB_PIXELS * (1 + BOMB_PIXELS // 8)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_picture_is_encoded_as_it_is(kind):
    """Up to what JPEG does to a colour."""
    picture = Image.new("RGB", (32, 16), "purple")
    with Image.open(io.BytesIO(encoded(picture, kind))) as back:
        assert back.format == kind.upper()
        assert back.size == picture.size
