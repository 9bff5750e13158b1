"""A stand-in for a server of a model, with faults by its command line; standard library only."""

from __future__ import annotations

import argparse
import http.server
import json
import os
import signal
import socketserver
import subprocess
import threading
import time

CHUNKS, CHUNK_S = 200, 0.02


class Server(http.server.ThreadingHTTPServer):
    """Ready some seconds after it was made."""

    daemon_threads = True

    def __init__(self, options):
        self.options = options
        self.started = time.monotonic()
        self.allow_reuse_port = options.reuse_port
        super().__init__(("127.0.0.1", options.port), Answers)

    def server_bind(self):
        """Bind as TCPServer does: HTTPServer looks up this machine's name, which may be slow."""
        if self.options.reuse_port:
            import socket

            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "toy", self.options.port

    @property
    def ready(self):
        """Whether /health may say so."""
        waited = time.monotonic() - self.started >= self.options.start_after
        return waited and not self.options.never_ready


class Answers(http.server.BaseHTTPRequestHandler):
    """The few requests of a client."""

    server: Server

    def do_GET(self):
        """Health, and the list of one model."""
        if self.path == "/health":
            self._say(200 if self.server.ready else 503, {"status": "?"})
        elif self.path == "/v1/models":
            self._say(200, {"object": "list", "data": [{"id": "toy", "object": "model"}]})
        elif self.path == "/tmpdir":
            self._say(200, {"TMPDIR": os.environ.get("TMPDIR")})
        else:
            self._say(404, {"error": {"message": "no such thing"}})

    def do_POST(self):
        """A slow stream."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(CHUNKS):
            chunk = {"choices": [{"index": 0, "delta": {"content": f"{number} "}}]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
            self.wfile.flush()
            time.sleep(CHUNK_S)
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        """Log nothing: the log is for the text of --print."""

    def _say(self, status, record):
        body = json.dumps(record).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    """Serve with the faults of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--start-after", type=float, default=0.0)
    parser.add_argument("--listen-after", type=float, default=0.0)
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--die-after", type=float, default=-1.0)
    parser.add_argument("--ignore-sigterm", action="store_true")
    parser.add_argument("--grandchild", choices=("session", "daemon"))
    parser.add_argument("--reuse-port", action="store_true")
    parser.add_argument("--print", default="")
    options = parser.parse_args()
    print(options.print, flush=True)
    if options.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.grandchild == "session":
        subprocess.Popen(["sleep", "300"], start_new_session=True)
    elif options.grandchild == "daemon":  # no parent, no group, no marked environment
        subprocess.run(["sh", "-c", "setsid env -i sleep 300 &"], check=True)
    if options.die_after >= 0:
        threading.Timer(options.die_after, os._exit, (3,)).start()
    time.sleep(options.listen_after)
    Server(options).serve_forever()


if __name__ == "__main__":
    main()
