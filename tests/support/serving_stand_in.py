"""A server that speaks as much of OpenAI's protocol as a load needs, and fails as it is told to.

``python tests/support/serving_stand_in.py --port 0 --parallel 2 --swap-pictures`` prints its address. It
looks at a picture of one shape and says what it shows ("red circle"), one token for each letter,
so that a right answer says that the right picture was looked at. Standard library and Pillow.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image, ImageChops

from qualification.tasks.scenes import COLOURS

MODEL = "stand-in"
QUIET_S = 2.0
"""A favoured client that asks nothing for so long has gone."""


@dataclass
class Faults:
    """How it serves. ``swap_pictures``, ``starve`` and ``hang`` show only beside other requests."""

    parallel: int = 8
    token_s: float = 0.0
    swap_pictures: bool = False
    fail_every: int = 0
    cut_every: int = 0
    starve: bool = False
    hang: bool = False
    mute: bool = False


@dataclass
class State:
    """What all requests share; ``lock`` guards it."""

    faults: Faults
    slots: threading.Semaphore
    lock: threading.Lock = field(default_factory=threading.Lock)
    count: int = 0
    waiting: list[bytes] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)
    favoured_at: float = field(default_factory=time.monotonic)


def seen(picture: bytes) -> str:
    """Colour and shape of the one mark of a picture: by how much of its box it fills."""
    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGB")
    ground = Image.new("RGB", image.size, image.getpixel((image.width - 1, image.height - 1)))
    mask = ImageChops.difference(image, ground).convert("L").point(lambda level: level > 20 and 255)
    left, top, right, bottom = mask.getbbox()
    filled = mask.histogram()[255] / ((right - left) * (bottom - top))
    shape = "square" if filled > 0.9 else "circle" if filled > 0.65 else "triangle"
    there = image.getpixel(((left + right) // 2, (top + bottom) // 2))

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(COLOURS[name], there, strict=True))

    return f"{min(COLOURS, key=distance)} {shape}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_words: object) -> None:
        """Say nothing."""

    def setup(self) -> None:
        super().setup()
        with self.state.lock:
            self.state.connections.append(self)

    def finish(self) -> None:
        with self.state.lock:
            self.state.connections.remove(self)
        with contextlib.suppress(OSError):
            super().finish()

    def do_GET(self) -> None:
        self._json(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = [part for message in body["messages"] for part in message["content"]]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        picture = base64.b64decode(urls[0].partition(",")[2]) if urls else b""
        faults, state = self.state.faults, self.state
        with state.lock:
            state.count += 1
            number = state.count
            state.waiting.append(picture)
        try:
            self._wait_for_the_favoured()
            with state.slots:
                if faults.fail_every and number % faults.fail_every == 0:
                    self._json(500, {"error": {"message": "it was told to fail"}})
                    return
                self._answer(body, self._picture(picture), number)
        except OSError:
            self.close_connection = True
        finally:
            with state.lock:
                state.waiting.remove(picture)

    def _wait_for_the_favoured(self) -> None:
        while self.state.faults.starve:
            with self.state.lock:
                if self.state.connections[0] is self:
                    self.state.favoured_at = time.monotonic()
                    return
                if time.monotonic() - self.state.favoured_at > QUIET_S:
                    return
            time.sleep(0.01)

    def _picture(self, own: bytes) -> bytes:
        with self.state.lock:
            others = [picture for picture in self.state.waiting if picture not in (own, b"")]
        return others[0] if self.state.faults.swap_pictures and others else own

    def _answer(self, body: dict, picture: bytes, number: int) -> None:
        faults = self.state.faults
        said = seen(picture) if picture else "hello"
        wanted = body["max_tokens"]
        letters = list(said + " on and on" * wanted)[:wanted] if "fixed" in body else list(said)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for letter in [] if faults.mute else letters:
            time.sleep(faults.token_s)
            self._event(self._chunk({"content": letter}))
            while faults.hang and len(self.state.waiting) > 1:
                time.sleep(0.05)
        if not (faults.cut_every and number % faults.cut_every == 0):
            self._event(self._chunk({}, "length" if "fixed" in body else "stop"))
            usage = {"prompt_tokens": 9, "completion_tokens": len(letters), "total_tokens": 9}
            self._event({**self._chunk({}), "choices": [], "usage": usage})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _chunk(self, delta: dict, finish: str | None = None) -> dict:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {
            "id": "x", "object": "chat.completion.chunk", "created": 0, "model": MODEL,
            "choices": [choice],
        }  # fmt: skip

    def _event(self, content: dict) -> None:
        self._write(b"data: " + json.dumps(content).encode() + b"\n\n")

    def _write(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _json(self, status: int, content: dict) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Of five, the default, the sixth client that connects at once waits a second for the kernel.
    request_queue_size = 64


@contextlib.contextmanager
def serving(faults: Faults | None = None, port: int = 0) -> Iterator[str]:
    """The address of a stand-in that serves on a thread of this process."""
    faults = faults or Faults()
    state = State(faults, threading.Semaphore(faults.parallel))
    handler = type("Handler", (_Handler,), {"state": state})
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until the process is ended."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--parallel", type=int, default=8)
    words.add_argument("--token-s", type=float, default=0.0)
    words.add_argument("--fail-every", type=int, default=0)
    words.add_argument("--cut-every", type=int, default=0)
    for name in ("--swap-pictures", "--starve", "--hang", "--mute"):
        words.add_argument(name, action="store_true")
    given = vars(words.parse_args())
    with serving(port=given.pop("port"), faults=Faults(**given)) as address:
        print(address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
