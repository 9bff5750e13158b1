"""A server that speaks as much of OpenAI's protocol as a load needs, and fails as it is told to.

``python tests/support/serving_stand_in.py --port 0 --parallel 2 --swap-images`` prints its address.
It recognises the one shape of an image and answers with it ("red circle"), one token for each
letter, so that a correct answer proves that the correct image was used. Standard library and
Pillow.
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
"""A favoured client that asks nothing for this long has gone."""


@dataclass
class Faults:
    """How it serves. ``swap_images`` and ``starve`` need other requests at the same time.

    ``hang`` stops every answer after its first token until the stand-in ends, ``mute`` sends no
    token, ``truncate_every`` ends the stream of every n-th answer without a finish reason.
    """

    parallel: int = 8
    token_s: float = 0.0
    swap_images: bool = False
    fail_every: int = 0
    truncate_every: int = 0
    starve: bool = False
    hang: bool = False
    mute: bool = False


@dataclass
class State:
    """What all requests share, guarded by ``lock``; ``over`` once the stand-in ends."""

    faults: Faults
    slots: threading.Semaphore
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)
    count: int = 0
    waiting: list[bytes] = field(default_factory=list)
    connections: list[object] = field(default_factory=list)
    favoured_at: float = field(default_factory=time.monotonic)


def recognised(image: bytes) -> str:
    """Colour and shape of the one shape of an image, by the share of its box that it fills."""
    with Image.open(io.BytesIO(image)) as opened:
        rgb = opened.convert("RGB")
    ground = Image.new("RGB", rgb.size, rgb.getpixel((rgb.width - 1, rgb.height - 1)))
    mask = ImageChops.difference(rgb, ground).convert("L").point(lambda level: level > 20 and 255)
    x_0, y_0, x_1, y_1 = mask.getbbox()
    filled = mask.histogram()[255] / ((x_1 - x_0) * (y_1 - y_0))
    shape = "square" if filled > 0.9 else "circle" if filled > 0.65 else "triangle"
    centre = rgb.getpixel(((x_0 + x_1) // 2, (y_0 + y_1) // 2))

    def distance(name: str) -> int:
        return sum((a - b) ** 2 for a, b in zip(COLOURS[name], centre, strict=True))

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
        contents = [m["content"] for m in body["messages"] if isinstance(m["content"], list)]
        parts = [part for content in contents for part in content]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        image = base64.b64decode(urls[0].partition(",")[2]) if urls else b""
        faults, state = self.state.faults, self.state
        with state.lock:
            state.count += 1
            number = state.count
            state.waiting.append(image)
        try:
            self._wait_for_the_favoured()
            with state.slots:
                if faults.fail_every and number % faults.fail_every == 0:
                    self._json(500, {"error": {"message": "it was told to fail"}})
                    return
                self._answer(body, self._image(image), number)
        except OSError:
            self.close_connection = True
        finally:
            with state.lock:
                state.waiting.remove(image)

    def _wait_for_the_favoured(self) -> None:
        while self.state.faults.starve:
            with self.state.lock:
                if self.state.connections[0] is self:
                    self.state.favoured_at = time.monotonic()
                    return
                if time.monotonic() - self.state.favoured_at > QUIET_S:
                    return
            time.sleep(0.01)

    def _image(self, sent: bytes) -> bytes:
        with self.state.lock:
            foreign = [image for image in self.state.waiting if image not in (sent, b"")]
        return foreign[0] if self.state.faults.swap_images and foreign else sent

    def _answer(self, body: dict, image: bytes, number: int) -> None:
        faults = self.state.faults
        letters = list(recognised(image) if image else "hello")
        if "fixed" in body:
            count = body["max_tokens"]
            letters = [*letters, *(" on and on" * count)][:count]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for letter in [] if faults.mute else letters:
            time.sleep(faults.token_s)
            self._event(self._chunk({"content": letter}))
            if faults.hang:
                self.state.over.wait()
                return
        if not (faults.truncate_every and number % faults.truncate_every == 0):
            self._event(self._chunk({}, "length" if "fixed" in body else "stop"))
            usage = {"prompt_tokens": 9, "completion_tokens": len(letters), "total_tokens": 9}
            self._event({**self._chunk({}), "choices": [], "usage": usage})
        self._write(b"data: [DONE]\n\n")
        self._write(b"")

    def _chunk(self, delta: dict, finish: str | None = None) -> dict:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
        return {**head, "choices": [choice]}

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
    # With the default of five, a sixth client that connects at once waits a second for the kernel.
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
        state.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--token-s", type=float, default=0.0)
    parser.add_argument("--fail-every", type=int, default=0)
    parser.add_argument("--truncate-every", type=int, default=0)
    for name in ("--swap-images", "--starve", "--hang", "--mute"):
        parser.add_argument(name, action="store_true")
    options = vars(parser.parse_args())
    with serving(port=options.pop("port"), faults=Faults(**options)) as address:
        print(address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
