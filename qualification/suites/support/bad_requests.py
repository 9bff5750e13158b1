"""Requests that a server must refuse, the faults of its answers, and the images they need."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualification.servers.chat import data_url
from qualification.suites.support.raw_http import CHAT, HttpReply, Server, user

FILE_BYTES = 50_000_000
BOMB_PIXELS = 50_000
"""Width and height: 2.5 billion pixels, 7.5 GB as RGB, from a file of less than 1 MB."""

MESSAGES = 1001
"""An odd number, so the user writes the first message and the last."""


@functools.cache
def large_png() -> bytes:
    """A valid PNG of 50 MB: noise, stored without compression."""
    import numpy

    side = int((FILE_BYTES / 3) ** 0.5)
    noise = numpy.random.default_rng(0).integers(0, 256, (side, side * 3), dtype=numpy.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in noise)
    return _png(side, side, zlib.compress(rows, 0))


@functools.cache
def bomb_png() -> bytes:
    """A valid PNG of less than 1 MB with 50,000 x 50,000 black pixels of one bit each.

    A thousandth of it is packed, into blocks that refer to nothing before them (RFC 1951).
    """
    row, times = bytes(1 + BOMB_PIXELS // 8), 1000
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    part = packer.compress(row * (BOMB_PIXELS // times)) + packer.flush(zlib.Z_FULL_FLUSH)
    # Adler-32 of zeros: their number, and 1 (RFC 1950).
    check = struct.pack(">HH", len(row) * BOMB_PIXELS % 65_521, 1)
    packed = b"\x78\xda" + part * times + packer.flush() + check
    return _png(BOMB_PIXELS, BOMB_PIXELS, packed, depth=1, colour=0)


def _png(width: int, height: int, packed: bytes, *, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


@dataclass(frozen=True)
class BadRequest:
    """A request that must be refused with a status of 4xx and a sentence, and harm nothing.

    ``send(server, folder)`` sends it; ``folder`` is empty and temporary. ``may_answer``: the
    request is only large and not wrong, so an answer is allowed too. ``has_image``: it is about an
    image, so a model of text alone is not asked.
    """

    name: str
    send: Callable[[Server, Path], HttpReply]
    may_answer: bool = False
    has_image: bool = False


_QUESTION = "What colour is the shape?"


def _post(content: bytes, server: Server) -> HttpReply:
    return server.call("POST", CHAT, content=content, headers={"Content-Type": "application/json"})


def _about(name: str, url: Callable[[Path], str], *, may_answer: bool = False) -> BadRequest:
    """A question about the image at a URL."""

    def send(server: Server, folder: Path) -> HttpReply:
        return server.chat([user(_QUESTION, url(folder))])

    return BadRequest(name, send, may_answer, has_image=True)


def _local_file(folder: Path) -> Path:
    from PIL import Image

    file = folder / "private.png"
    Image.new("RGB", (64, 64), "red").save(file)
    return file


def _broken_base64(_folder: Path) -> str:
    return "data:image/png;base64,%%%this is not base64%%%"


def _many(count: int) -> list[dict[str, Any]]:
    turns = ({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello"})
    return [dict(turns[number % 2]) for number in range(count)]


BAD_REQUESTS = (
    BadRequest("no_body", lambda server, _: _post(b"", server)),
    BadRequest("bad_json", lambda server, _: _post(b'{"model": "x", "messages": [', server)),
    BadRequest("no_messages", lambda server, _: server.chat([])),
    BadRequest(
        "unknown_role",
        lambda server, _: server.chat([user(_QUESTION) | {"role": "nobody"}]),
    ),
    BadRequest("no_content", lambda server, _: server.chat([{"role": "user"}])),
    BadRequest(
        "unknown_model",
        lambda server, _: server.chat([user(_QUESTION)], model="no such model"),
    ),
    BadRequest(
        "negative_max_tokens",
        lambda server, _: server.chat([user(_QUESTION)], max_tokens=-7),
    ),
    _about("broken_base64", _broken_base64),
    _about("no_image", lambda _: data_url(b"this is not a picture")),
    _about("unreachable_url", lambda _: "http://127.0.0.1:1/x.png"),
    _about("file_url", lambda folder: _local_file(folder).as_uri()),
    _about("file_path", lambda folder: str(_local_file(folder))),
    _about("decompression_bomb", lambda _: data_url(bomb_png()), may_answer=True),
    _about("image_of_50_mb", lambda _: data_url(large_png()), may_answer=True),
    BadRequest("1001_messages", lambda server, _: server.chat(_many(MESSAGES)), may_answer=True),
    BadRequest("unknown_path", lambda server, _: server.call("POST", "/no-such-path", json={})),
    BadRequest("wrong_method", lambda server, _: server.call("GET", CHAT)),
)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a bad request.

    ``harm`` is the fault of the good request after it, '' without one. ``growth_bytes`` is the
    growth of the server's peak memory meanwhile.
    """

    reply: HttpReply
    harm: str
    growth_bytes: int


def fault(request: BadRequest, reply: HttpReply) -> str:
    """The fault of the answer to a bad request, '' without one."""
    if reply.status == 0:
        return f"not answered: {reply.failure}"
    if request.may_answer and reply.status == 200:
        return ""
    if not 400 <= reply.status < 500:
        return f"answered with {reply}, where a status of 4xx was due"
    if not refusal_text(reply):
        return f"refused without a sentence in JSON: {reply}"
    return ""


def refusal_text(reply: HttpReply) -> str:
    """The sentence of a refusal, in OpenAI's shape or in another; '' without one."""
    content = reply.json
    if not isinstance(content, dict):
        return ""
    error = content.get("error", content)
    text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return str(text) if text else ""


def has_openai_shape(reply: HttpReply) -> bool:
    """Whether a refusal is ``{"error": {"message": ...}}`` like OpenAI's."""
    error = reply.json.get("error") if isinstance(reply.json, dict) else None
    return isinstance(error, dict) and isinstance(error.get("message"), str)
