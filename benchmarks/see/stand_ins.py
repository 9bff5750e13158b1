"""Servers that speak as Ollama's and LM Studio's documentation says, in front of ``sighted``.

Both list more models than they have loaded, read a context length back on a route of their own, and
refuse or cut what does not fit. Ollama names thinking ``reasoning``, LM Studio
``reasoning_content``, and LM Studio answers a route that it does not have with 200 and an error.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from PIL import Image

from benchmarks.see.sighted import answer, decoded

MODEL = "seer-vl:8b"
_TOKEN_PIXELS = 28 * 28
_TURN_TOKENS = 4


@dataclass
class Behaviour:
    """``cuts``: a prompt over the context is cut in silence. ``thinks``: tokens of a thought.

    ``key`` is asked for where it is not ''. ``seen_keys`` are those that came, '' without one.
    ``loading``: requests that are answered 503 before it is ready. ``refuses`` are fields.
    A token takes ``token_s``, but for the first ``quick`` answers.
    """

    api: Literal["ollama", "lm-studio"]
    context: int = 4096
    cuts: bool = False
    thinks: int = 0
    key: str = ""
    loading: int = 0
    refuses: tuple[str, ...] = ()
    token_s: float = 0.0
    quick: int = 0
    seen_keys: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def log_message(self, *_words: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        behaviour, model = self.behaviour, {"id": MODEL, "object": "model", "owned_by": "library"}
        idle_model = {**model, "id": "another:1b"}
        if not self._has_key():
            return
        running = {"name": MODEL, "context_length": behaviour.context}
        loaded = {**model, "state": "loaded", "type": "vlm"}
        loaded["loaded_context_length"] = behaviour.context
        routes: dict[str, Any] = {"/v1/models": {"object": "list", "data": [idle_model, model]}}
        if behaviour.api == "ollama":
            routes |= {
                "/api/version": {"version": "0.14.1"},
                "/api/tags": {"models": [{"name": "another:1b"}, {"name": MODEL}]},
                "/api/ps": {"models": [running]},
            }
        else:
            idle = {**idle_model, "state": "not-loaded", "type": "llm"}
            routes["/api/v0/models"] = {"object": "list", "data": [idle, loaded]}
        if self.path in routes:
            self._json(200, routes[self.path])
        elif behaviour.api == "ollama":
            self._json(404, {"error": "404 page not found"})
        else:
            self._json(200, {"error": f"Unexpected endpoint or method. (GET {self.path})"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour = self.behaviour
        if not self._has_key():
            return
        if not self.path.endswith("/chat/completions"):
            self._json(404, {"error": "404 page not found"})
            return
        if behaviour.loading:
            behaviour.loading -= 1
            self._json(503, {"error": {"message": "Loading model"}}, {"Retry-After": "0"})
            return
        refused = [name for name in behaviour.refuses if name in body]
        if refused:
            self._json(400, {"error": {"message": f"Unsupported parameter: {refused[0]}"}})
            return
        behaviour.bodies.append(body)
        texts, images, tokens = _read(body["messages"])
        if tokens > behaviour.context and not behaviour.cuts:
            text = f"the prompt has {tokens} tokens, the context {behaviour.context}"
            self._json(400, {"error": {"message": text}})
            return
        text = answer(texts[-1], images)
        if "response_format" in body and images:
            text = json.dumps({"colour": answer("What colour is it?", images)[6:-1]})
        self._stream(body, text, min(tokens, behaviour.context))

    def _stream(self, body: dict[str, Any], text: str, prompt_tokens: int) -> None:
        thinks = self.behaviour.thinks
        if body.get("reasoning_effort") == "none" or body.get("enable_thinking") is False:
            thinks = 0
        name = "reasoning" if self.behaviour.api == "ollama" else "reasoning_content"
        pieces = [{name: "hmm "} for _ in range(thinks)]
        pieces += [{"content": word} for word in text.replace(" ", " \0").split("\0")]
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or 300
        finish = "length" if len(pieces) > limit else "stop"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        head = {"id": f"chatcmpl-{time.monotonic_ns()}", "object": "chat.completion.chunk"}
        head |= {"created": 0, "model": MODEL}
        for delta in pieces[:limit]:
            if len(self.behaviour.bodies) > self.behaviour.quick:
                time.sleep(self.behaviour.token_s)
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            self._event({**head, "choices": [choice]})
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        count = min(limit, len(pieces))
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": count}
        self._event({**head, "choices": [], "usage": usage | {"total_tokens": 0}})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _has_key(self) -> bool:
        key = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.behaviour.seen_keys.append((self.path, key))
        if self.behaviour.key in ("", key):
            return True
        self._json(401, {"error": {"message": "Invalid API key"}})
        return False

    def _event(self, content: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(content).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)


def _read(messages: list[dict[str, Any]]) -> tuple[list[str], list[Image.Image], int]:
    """Texts and images of a conversation, and the tokens of both."""
    texts, images, tokens = [""], list[Image.Image](), 0
    for message in messages:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        tokens += _TURN_TOKENS
        for part in parts:
            if part["type"] == "text":
                texts.append(part["text"])
                tokens += len(part["text"].split())
            else:
                encoded = part["image_url"]["url"].partition(",")[2]
                images.append(decoded(base64.b64decode(encoded)))
                tokens += max(16, images[-1].width * images[-1].height // _TOKEN_PIXELS)
    return texts, images, tokens


@contextlib.contextmanager
def on_a_thread(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server with this handler, without a path, on a thread of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serving(behaviour: Behaviour) -> contextlib.AbstractContextManager[str]:
    """The address of a stand-in."""
    return on_a_thread(type("Handler", (_Handler,), {"behaviour": behaviour}))
