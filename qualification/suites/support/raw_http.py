"""Raw HTTP for the conformance suite: what is sent, to the byte, and what comes back, to the byte.

No official client here: it repairs, retries and hides what a server really says.
"""

from __future__ import annotations

import base64
import functools
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from qualification.core.protocol import GenerateRequest, Message
from qualification.core.text import disarm
from qualification.servers.programs import PROGRAMS

if TYPE_CHECKING:
    from PIL import Image

    from qualification.session.deployed import Deployed
    from qualification.tasks.questions import Question

TIMEOUT_S = 120.0
"""After which a request is said to hang; the slowest good one here takes some seconds."""

CHAT = "/chat/completions"


@dataclass(frozen=True)
class Reply:
    """What came back. ``status`` 0: nothing did, and ``broken`` says why.

    ``events`` are the values behind ``data:`` of a stream, in order.
    """

    status: int
    content_type: str = ""
    body: bytes = b""
    events: tuple[str, ...] = ()
    broken: str = ""

    @functools.cached_property
    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        return _parsed(self.body)

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events of a stream that are JSON objects."""
        return [found for event in self.events if isinstance(found := _parsed(event), dict)]

    @property
    def text(self) -> str:
        """The answer of a chat completion, '' where there is none; of a stream, put together."""
        if self.events:
            deltas = [_object(choice.get("delta")) for choice in self.choices]
            return "".join(str(delta.get("content") or "") for delta in deltas)
        said = [_object(choice.get("message")).get("content") for choice in self.choices]
        return str(said[0] or "") if said else ""

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices of a whole chat completion, or of all pieces of a stream."""
        pieces = self.chunks if self.events else [_object(self.json)]
        listed = [piece.get("choices") for piece in pieces]
        return [_object(choice) for some in listed if isinstance(some, list) for choice in some]

    @property
    def finish_reason(self) -> str | None:
        """Why the answer of a whole (not streamed) chat completion ended."""
        return self.choices[0].get("finish_reason") if self.choices else None

    @property
    def usage(self) -> dict[str, Any]:
        """The ``usage`` of a whole chat completion, or of a stream's last piece; {} without."""
        pieces = self.chunks if self.events else [_object(self.json)]
        return _object(pieces[-1].get("usage")) if pieces else {}

    def __str__(self) -> str:
        """Status and the beginning of the body, fit to be shown."""
        if self.status == 0:
            return f"no answer ({disarm(self.broken)})"
        said = self.body or "\n".join(self.events).encode()
        return f"{self.status} {disarm(said[:300].decode('utf-8', 'replace'))!r}"


class Server:
    """A server that is asked by its address, under the name that it gave its model."""

    def __init__(self, address: str, model: str) -> None:
        self.address = address
        self.model = model
        # Environment variables for a proxy must not send loopback there.
        limits = httpx2.Limits(max_keepalive_connections=0)  # none outlives a bad request
        self._client = httpx2.Client(trust_env=False, timeout=TIMEOUT_S, limits=limits)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def call(self, method: str, path: str, **how: Any) -> Reply:
        """One request by httpx's own words; ``path`` is under ``/v1``, or a whole URL."""
        url = path if path.startswith("http") else self.address + path
        try:
            reply = self._client.request(method, url, **how)
        except httpx2.HTTPError as error:
            return Reply(0, broken=f"{type(error).__name__}: {error}")
        return Reply(reply.status_code, reply.headers.get("content-type", ""), reply.content)

    def body(self, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        """A chat completion: greedy and short, unless ``fields`` say otherwise."""
        return {
            "model": self.model, "messages": messages, "max_tokens": 64, "temperature": 0,
        } | fields  # fmt: skip

    def chat(self, messages: list[dict[str, Any]], **fields: Any) -> Reply:
        """A chat completion, whole."""
        return self.call("POST", CHAT, json=self.body(messages, **fields))

    def stream(
        self,
        messages: list[dict[str, Any]],
        *,
        until: Callable[[str], bool] = lambda event: False,
        **fields: Any,
    ) -> Reply:
        """A chat completion, streamed; the connection is dropped after an event that is ``until``.

        An answer that is no stream comes back as a whole one does.
        """
        body = self.body(messages, stream=True, **fields)
        seen: list[str] = []
        try:
            with self._client.stream("POST", self.address + CHAT, json=body) as reply:
                kind = reply.headers.get("content-type", "")
                if not kind.startswith("text/event-stream"):
                    return Reply(reply.status_code, kind, reply.read())
                for event in events(reply.iter_lines()):
                    seen.append(event)
                    if until(event):
                        break
        except httpx2.HTTPError as error:
            return Reply(0, events=tuple(seen), broken=f"{type(error).__name__}: {error}")
        return Reply(reply.status_code, kind, events=tuple(seen))


class Served(Server):
    """The server of a loaded deployment; its address changes when it is started again."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__(deployed.load_report.address, deployed.load_report.served_as)
        self._deployed = deployed
        self._program = PROGRAMS.get(deployed.deployment.source.server)

    @property
    def is_ours(self) -> bool:
        """Whether it was started here; else a user's URL names it, and little is known of it."""
        return self._program is not None

    @property
    def health(self) -> str:
        """The whole URL that answers 200 once the server can be asked."""
        if self._program is None:
            return f"{self.address}/models"
        return self.address.removesuffix("/v1") + self._program.health

    @property
    def is_alive(self) -> bool:
        """Whether anything answers at its address."""
        return self.call("GET", self.health).status != 0

    def start_again(self) -> None:
        """Start the server anew; one that a user's URL names is not ours to start."""
        report = self._deployed.reload()
        self.address, self.model = report.address, report.served_as

    def turns(self, question: Question, kind: str = "png") -> list[dict[str, Any]]:
        """A generated question as the messages of a chat completion, pictures as data URLs."""
        return [_as_chat(message, kind) for message in self._deployed.messages(question)]

    def ask(
        self, question: Question, *, kind: str = "png", streamed: bool = False
    ) -> tuple[Question, Reply]:
        """The question, and what came."""
        asked = self.stream if streamed else self.chat
        return question, asked(self.turns(question, kind))

    def long(self, tokens: int, *, temperature: float = 0.0) -> dict[str, Any]:
        """Fields for an answer of exactly so many tokens, drawn from the whole distribution.

        They are each program's own; of a server that a user named none are known.
        """
        if self._program is None:
            return {}
        request = GenerateRequest((), tokens, temperature, fixed_length=True)
        extra = self._program.extra
        return extra(request, Path(self.model))

    def peak_memory_bytes(self) -> int:
        """The most memory that its processes have had; 0 where that is not seen from here."""
        if self._program is None:
            return 0
        return self._deployed.memory().peak_memory_bytes


def user(text: str, *urls: str) -> dict[str, Any]:
    """One turn of a user: pictures by their URLs, then text."""
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [*shown, {"type": "text", "text": text}]}


def data_url(content: bytes, kind: str = "png") -> str:
    """``data:image/KIND;base64,...``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def encoded(picture: Image.Image, kind: str = "png") -> bytes:
    """A picture as a file: JPEG and WebP as close to the pixels as they can be."""
    more: dict[str, Any] = {
        "jpeg": {"quality": 95, "subsampling": 0},
        "webp": {"lossless": True},
    }.get(kind, {})
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def events(lines: Iterator[str]) -> Iterator[str]:
    """The values of ``data:`` fields of a stream of server-sent events."""
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
    """A server may put anything where an object belongs; then there is none."""
    return value if isinstance(value, dict) else {}


def _as_chat(message: Message, kind: str) -> dict[str, Any]:
    from PIL import Image

    if message.role == "assistant":
        return {"role": "assistant", "content": "".join(part.value for part in message.parts)}
    parts: list[dict[str, Any]] = []
    for part in message.parts:
        if part.kind == "image":
            with Image.open(part.value) as picture:
                url = data_url(encoded(picture, kind), kind)
            parts.append({"type": "image_url", "image_url": {"url": url}})
        else:
            parts.append({"type": "text", "text": part.value})
    return {"role": message.role, "content": parts}
