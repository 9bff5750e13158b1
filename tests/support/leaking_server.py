"""A stand-in for an OpenAI-compatible server that can leak, slow down, fail, die and lie.

Only the standard library, so that its own memory is constant. Run as a program, it first prints its
base URL. ``/v1/chat/completions`` streams or not; ``/v1/models``, ``/health`` and (by POST and GET)
``/v1/admin/status`` answer too.

With ``--right-of SEED`` it gives the correct answers to the questions of ``qualify watch`` for that
seed, asked by one client from the beginning; otherwise each answer begins with "red".
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "leaking"


class Server(ThreadingHTTPServer):
    """What the requests share."""

    daemon_threads = True

    def __init__(self, options):
        super().__init__(("127.0.0.1", options.port), Handler)
        self.options = options
        self.leaked = []
        self.answered = 0
        self.lock = threading.Lock()
        self.questions = None
        self.repeatable = {}
        self.tps = 0.0
        if options.right_of is not None:
            sys.path.insert(
                0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
            )
            from qualification.watch.question_stream import stream

            self.questions = stream(options.right_of, options.skills.split(","))

    def handle_error(self, *_):
        """Ignore a client that went away."""

    def take(self):
        """Number the request, and leak as much memory as chosen."""
        with self.lock:
            self.answered += 1
            if self.options.keep:
                # Written, so that the pages are really allocated.
                self.leaked.append(bytearray(os.urandom(64)) * (self.options.keep // 64))
            return self.answered

    def answer(self, prompt, images):
        """The correct answer to the next question of ``qualify watch``."""
        if self.questions is None:
            return "red"
        if (prompt, *images) in self.repeatable:
            return self.repeatable[(prompt, *images)]
        for _ in range(500):
            question = next(self.questions)
            expected = [digest(image) for image in question.images()]
            if len(self.repeatable) < 50:  # some of the early questions are asked again
                self.repeatable[(question.prompt, *expected)] = question.answer
            if question.prompt == prompt and expected == images:
                return question.answer
        return "no such question"


def digest(image):
    """A hash of the pixels of an image, independent of its encoding."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        """Say nothing."""

    def do_GET(self):
        if self.path == "/health":
            self._json(200, {"status": "ok"})
        elif self.path == "/v1/models":
            self._json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        elif self.path == "/v1/admin/status" and "GET" in self.server.options.status_methods:
            self._status()
        else:
            self._json(404, {"error": {"message": "no such endpoint", "code": 404}})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/v1/admin/status":
            if "POST" in self.server.options.status_methods:
                self._status()
            else:
                self._json(405, {"error": {"message": "method not allowed"}})
        elif self.path == "/v1/chat/completions":
            self._complete(body)
        else:
            self._json(404, {"error": {"message": "no such endpoint", "code": 404}})

    def _status(self):
        options = self.server.options
        if options.status_body:
            self._send(options.status_code, options.status_body.encode())
            return
        leaked = sum(map(len, self.server.leaked))
        worker = {"model": MODEL, "tps": self.server.tps, "memory_gb": leaked / 1e9}
        self._json(200, {"workers": [worker | {"pid": os.getpid()}], "version": "stand-in"})

    def _complete(self, body):
        server, options = self.server, self.server.options
        try:
            request = json.loads(body)
            messages = [turn for turn in request["messages"] if turn["role"] == "user"]
            prompt, images = read(messages) if server.questions is not None else ("", [])
        except (ValueError, KeyError, IndexError, TypeError):
            self._json(400, {"error": {"message": "not a request", "code": 400}})
            return
        number = server.take()
        if options.die_after and number > options.die_after:
            os._exit(1)
        if options.fail_after and number > options.fail_after:
            self._json(500, {"error": {"message": "out of \x1b[31mluck", "code": 500}})
            return
        answer = server.answer(prompt, images) if server.questions is not None else "red"
        if options.wrong_after and number > options.wrong_after:
            answer = "\x1b[2Jmauve"
        token_s = options.token_s
        if options.slow_after and number > options.slow_after:
            token_s *= 5
        is_known = server.questions is not None
        words = list(answer) if is_known else [answer, *([" and"] * (options.tokens - 1))]
        begin = time.perf_counter()
        if request.get("stream"):
            truncated = options.cut_after and number > options.cut_after
            self._stream(request, words, token_s, truncated=truncated)
        else:
            time.sleep(token_s * len(words))
            message = {"role": "assistant", "content": "".join(words)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._json(200, chunk("chat.completion", [choice]) | {"usage": usage(len(words))})
        server.tps = len(words) / max(1e-9, time.perf_counter() - begin)

    def _stream(self, request, words, token_s, *, truncated):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, word in enumerate(words):
            time.sleep(token_s)
            delta = {"content": word} | ({"role": "assistant"} if number == 0 else {})
            self._event(piece([{"index": 0, "delta": delta, "finish_reason": None}]))
        if truncated:
            self.close_connection = True
            return
        self._event(piece([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
        if (request.get("stream_options") or {}).get("include_usage"):
            self._event(piece([]) | {"usage": usage(len(words))})
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data):
        text = data if isinstance(data, str) else json.dumps(data)
        line = f"data: {text}\n\n".encode()
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        self.wfile.flush()

    def _json(self, code, value):
        self._send(code, json.dumps(value).encode())

    def _send(self, code, body):
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def piece(choices):
    """One object of a stream."""
    return chunk("chat.completion.chunk", choices)


def chunk(kind, choices):
    """The fields that all answers have."""
    return {"id": "x", "object": kind, "created": 0, "model": MODEL, "choices": choices}


def usage(tokens):
    """Counts of tokens."""
    return {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}


def read(messages):
    """The text at the end of the last turn, and the digest of each image."""
    import io

    from PIL import Image

    prompt, images = "", []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        (prompt,) = [part["text"] for part in parts if part["type"] == "text"][-1:] or [""]
        for part in parts:
            if part["type"] == "image_url":
                url = part["image_url"]["url"]
                with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
                    images.append(digest(image))
    return prompt, images


def main():
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    for name in ("keep", "slow-after", "fail-after", "die-after", "wrong-after", "cut-after"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--token-s", type=float, default=0.001)
    parser.add_argument("--tokens", type=int, default=10)
    parser.add_argument("--right-of", type=int)
    parser.add_argument("--skills", default="colour,shape,both,count,position,word,text")
    parser.add_argument("--status-methods", default="POST,GET")
    parser.add_argument("--status-body", default="")
    parser.add_argument("--status-code", type=int, default=200)
    server = Server(parser.parse_args())
    print(f"http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
