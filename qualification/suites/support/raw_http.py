"""Raw HTTP for the conformance suite: requests and replies to the byte.

The official client is not used, because it repairs and retries and hides the server's own answer.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
from pydantic import ConfigDict

from qualification.core.protocol import GenerateRequest, Message, Part
from qualification.core.text import disarm
from qualification.servers.chat import as_request, data_url, image_part
from qualification.servers.client import http_options
from qualification.servers.programs import PROGRAMS

if TYPE_CHECKING:
    from PIL import Image

    from qualification.session.deployed import Deployed
    from qualification.tasks.questions import Question

TIMEOUT_S = 120.0
"""After this time a request counts as hanging; the slowest good one takes some seconds."""

CHAT = "/chat/completions"


@dataclass(frozen=True)
class HttpReply:
    """A server's reply. ``status`` 0: none came, and ``failure`` says why.

    ``events`` are the values of a stream's ``data:`` fields, in order.
    """

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    status: int
    content_type: str = ""
    body: bytes = b""
    events: tuple[str, ...] = ()
    failure: str = ""

    @functools.cached_property
    def json(self) -> Any:
        """The body as JSON, or None if it is not JSON."""
        return _parsed(self.body)

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events of a stream that are JSON objects."""
        return [chunk for event in self.events if isinstance(chunk := _parsed(event), dict)]

    @property
    def text(self) -> str:
        """The answer of a chat completion, '' without one; the pieces of a stream are joined."""
        if self.events:
            deltas = [_object(choice.get("delta")) for choice in self.choices]
            return "".join(str(delta.get("content") or "") for delta in deltas)
        contents = [_object(choice.get("message")).get("content") for choice in self.choices]
        return str(contents[0] or "") if contents else ""

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices of a chat completion, or of all pieces of a stream."""
        pieces = self.chunks if self.events else [_object(self.json)]
        lists = [piece.get("choices") for piece in pieces]
        return [_object(choice) for item in lists if isinstance(item, list) for choice in item]

    @property
    def finish_reason(self) -> str | None:
        """Why the answer of a chat completion ended that was not streamed."""
        return self.choices[0].get("finish_reason") if self.choices else None

    @property
    def usage(self) -> dict[str, Any]:
        """The ``usage`` of a chat completion or of a stream's last piece; {} without one."""
        pieces = self.chunks if self.events else [_object(self.json)]
        return _object(pieces[-1].get("usage")) if pieces else {}

    def __str__(self) -> str:
        """Status and start of the body, safe to print."""
        if self.status == 0:
            return f"no answer ({disarm(self.failure)})"
        content = self.body or "\n".join(self.events).encode()
        return f"{self.status} {disarm(content[:300].decode('utf-8', 'replace'))!r}"


class Server:
    """A server at an address, with the name under which it serves its model."""

    def __init__(self, address: str, model: str) -> None:
        self.address = address
        self.model = model
        # The environment's proxy must not get requests for loopback, and no connection outlives a
        # bad request.
        limits = httpx2.Limits(max_keepalive_connections=0)
        options = http_options(address, TIMEOUT_S) | {"trust_env": False, "limits": limits}
        self._client = httpx2.Client(**options)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(self, method: str, path: str, **options: Any) -> HttpReply:
        """One request with httpx's options; ``path`` is below ``/v1`` or a whole URL."""
        url = path if path.startswith("http") else self.address + path
        try:
            reply = self._client.request(method, url, **options)
        except httpx2.HTTPError as error:
            return HttpReply(0, failure=f"{type(error).__name__}: {error}")
        return HttpReply(reply.status_code, reply.headers.get("content-type", ""), reply.content)

    def body(self, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        """A chat completion: greedy and short, unless ``fields`` say otherwise."""
        defaults = {"model": self.model, "messages": messages, "max_tokens": 64, "temperature": 0}
        return defaults | fields

    def chat(self, messages: list[dict[str, Any]], **fields: Any) -> HttpReply:
        """A chat completion that is not streamed."""
        return self.call("POST", CHAT, json=self.body(messages, **fields))

    def stream(
        self,
        messages: list[dict[str, Any]],
        *,
        until: Callable[[str], bool] = lambda event: False,
        **fields: Any,
    ) -> HttpReply:
        """A streamed chat completion; the connection is dropped after an event with ``until``.

        An answer that is not a stream is returned like one that was not streamed.
        """
        body = self.body(messages, stream=True, **fields)
        received: list[str] = []
        try:
            with self._client.stream("POST", self.address + CHAT, json=body) as reply:
                kind = reply.headers.get("content-type", "")
                if not kind.startswith("text/event-stream"):
                    return HttpReply(reply.status_code, kind, reply.read())
                for event in events(reply.iter_lines()):
                    received.append(event)
                    if until(event):
                        break
        except httpx2.HTTPError as error:
            return HttpReply(0, events=tuple(received), failure=f"{type(error).__name__}: {error}")
        return HttpReply(reply.status_code, kind, events=tuple(received))


class DeployedServer(Server):
    """The server of a loaded deployment; a restart changes its address."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__(deployed.load_report.address, deployed.load_report.served_as)
        self._deployed = deployed
        self._program = PROGRAMS.get(deployed.deployment.source.server)

    @property
    def is_managed(self) -> bool:
        """Whether we started it; otherwise it is a user's server behind a URL."""
        return self._program is not None

    @property
    def health(self) -> str:
        """The whole URL that answers 200 once the server is ready."""
        if self._program is None:
            return f"{self.address}/models"
        return self.address.removesuffix("/v1") + self._program.health

    @property
    def is_alive(self) -> bool:
        """Whether the server answers at its address."""
        return self.call("GET", self.health).status != 0

    def start_again(self) -> None:
        """Restart the server; one behind a user's URL is not ours to restart."""
        report = self._deployed.reload()
        self.address, self.model = report.address, report.served_as

    def turns(self, question: Question, kind: str = "png") -> list[dict[str, Any]]:
        """A generated question as the messages of a chat completion, images as data URLs."""
        return [_as_chat(message, kind) for message in self._deployed.messages(question)]

    def ask(self, question: Question, *, kind: str = "png", streamed: bool = False) -> HttpReply:
        """The reply to a generated question."""
        send = self.stream if streamed else self.chat
        return send(self.turns(question, kind))

    def fixed_length(self, tokens: int, *, temperature: float = 0.0) -> dict[str, Any]:
        """Fields for an answer of exactly ``tokens`` tokens, sampled from the full distribution.

        They are specific to each program; for a user's server none are known.
        """
        if self._program is None:
            return {}
        request = GenerateRequest((), tokens, temperature, fixed_length=True)
        extra = self._program.extra
        return extra(request, Path(self.model))

    def peak_memory_bytes(self) -> int:
        """The peak memory of its processes; 0 if it cannot be observed from here."""
        if self._program is None:
            return 0
        return self._deployed.memory().peak_memory_bytes


def user(text: str, *urls: str) -> dict[str, Any]:
    """A user's turn: images by URL, then text."""
    content = [*map(image_part, urls), {"type": "text", "text": text}]
    return {"role": "user", "content": content}


def encoded(image: Image.Image, kind: str = "png") -> bytes:
    """An image as the content of a file: WebP lossless, JPEG with little loss."""
    options: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": 95, "subsampling": 0},
        "webp": {"lossless": True},
    }
    file = io.BytesIO()
    image.save(file, kind, **options.get(kind, {}))
    return file.getvalue()


def events(lines: Iterator[str]) -> Iterator[str]:
    """The values of the ``data:`` fields of a stream of server-sent events."""
    data: list[str] = []
    for line in lines:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
    if data:
        yield "\n".join(data)


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    """``value`` if it is an object; a server may send anything in its place."""
    return value if isinstance(value, dict) else {}


def _as_chat(message: Message, kind: str) -> dict[str, Any]:
    from PIL import Image

    def url_of(part: Part) -> str:
        with Image.open(part.value) as image:
            return data_url(encoded(image, kind), f"image/{kind}")

    return as_request(message, url_of)
