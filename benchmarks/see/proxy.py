"""A proxy before a server that plants one fault: in requests, in answers, or between them."""

from __future__ import annotations

import contextlib
import http.client
import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from benchmarks.see.faults import REQUEST_FAULTS, Memory, without_images
from benchmarks.see.stand_ins import on_a_thread

_KEPT_WORDS = 500
"""Of a prompt whose beginning is cut off."""

ANSWER_FAULTS = (
    "thinking cut off",
    "images dropped with tools",
    "images dropped with a schema",
    "usage lying",
    "context cut",
    "replayed from a cache",
)
"""What is no change of a conversation alone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: str
    fault: str
    memory: Memory

    def log_message(self, *_words: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._give(*self._forward("GET", None))

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.endswith("/chat/completions"):
            self._give(*self._forward("POST", sent))
            return
        if self.fault == "replayed from a cache" and sent.decode() in self.memory.replies:
            self._give(200, self.memory.replies[sent.decode()], "text/event-stream")
            return
        status, reply, kind = self._forward("POST", self._changed(sent))
        if status == 200:
            self.memory.replies[sent.decode()] = reply
            reply = b"\n".join(self._event(line) for line in reply.split(b"\n"))
        self._give(status, reply, kind)

    def _changed(self, sent: bytes) -> bytes:
        body = json.loads(sent)
        if self.fault in REQUEST_FAULTS:
            body["messages"] = REQUEST_FAULTS[self.fault](body["messages"], self.memory)
        with_tools = self.fault == "images dropped with tools" and "tools" in body
        with_schema = self.fault == "images dropped with a schema" and "response_format" in body
        if with_tools or with_schema:
            body["messages"] = without_images(body["messages"])
        if self.fault == "context cut":
            for message in body["messages"]:
                if isinstance(message["content"], str):
                    words = message["content"].split()
                    message["content"] = " ".join(words[-_KEPT_WORDS:])
        return json.dumps(body).encode()

    def _event(self, line: bytes) -> bytes:
        """A line of the stream, changed."""
        if not line.startswith(b"data: {"):
            return line
        chunk: dict[str, Any] = json.loads(line[len(b"data: ") :])
        if self.fault == "usage lying" and chunk.get("usage"):
            chunk["usage"] |= {"prompt_tokens": 9, "total_tokens": 10}
        for choice in chunk.get("choices") or () if self.fault == "thinking cut off" else ():
            if text := choice["delta"].pop("content", None):
                choice["delta"]["reasoning_content"] = text
            choice["finish_reason"] = choice["finish_reason"] and "length"
        return b"data: " + json.dumps(chunk).encode()

    def _forward(self, method: str, body: bytes | None) -> tuple[int, bytes, str]:
        parts = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        try:
            connection.request(method, self.path, body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            return reply.status, reply.read(), reply.headers.get("Content-Type", "")
        finally:
            connection.close()

    def _give(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def planted(fault: str, upstream: str) -> contextlib.AbstractContextManager[str]:
    """The address of a proxy before ``upstream`` (without a path); fault '' changes nothing."""
    if fault not in {"", *REQUEST_FAULTS, *ANSWER_FAULTS}:
        raise ValueError(f"no fault is called {fault!r}")
    namespace = {"upstream": upstream, "fault": fault, "memory": Memory()}
    return on_a_thread(type("Handler", (_Handler,), namespace))
