"""The figures of a run for Prometheus, on loopback only, in a registry of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qualification.core.errors import SelectionError
from qualification.watch.records import Alert, Figures, Header, Line, Loaded, Request, SelfReport

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

LOOPBACK = "127.0.0.1"
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


class Exposition:
    """Serves ``/metrics`` on ``http://127.0.0.1:PORT`` while it is open; port 0 takes a free one.

    Raises SelectionError if the port cannot be had.
    """

    def __init__(self, header: Header, port: int) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        # The process's own default registry would add figures of this program to the subject's.
        self.registry = registry = CollectorRegistry()
        self._port = port
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"qualify_watch_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"qualify_watch_{name}", text, registry=registry, buckets=_SECONDS)

        self._requests = Counter(
            "qualify_watch_requests", "Requests by outcome.", ("outcome",), registry=registry
        )
        self._alerts = Counter(
            "qualify_watch_alerts", "Alerts by kind.", ("alert", "level"), registry=registry
        )
        for outcome in ("ok", "wrong", "failed"):
            self._requests.labels(outcome)
        self._ttft = histogram("ttft_seconds", "Request start to first piece of the answer.")
        self._e2e = histogram("request_seconds", "The whole request.")
        self._decode = gauge("decode_tokens_per_second", "Decoding speed of the latest answer.")
        self._held = gauge("held_bytes", "Private memory of the subject after the latest request.")
        self._resident = gauge("resident_bytes", "Resident memory of the subject's processes.")
        self._used = gauge("machine_used_bytes", "Memory of the machine in use.")
        self._growth = gauge("growth_bytes_per_request", "Theil-Sen slope.", "bound")
        self._hourly = gauge("growth_bytes_per_hour", "The same slope per hour.")
        self._load = gauge("load_seconds", "Duration of the latest load.")
        self._restarts = gauge("restarts", "Restarts of the subject so far.")
        self._self_reported = gauge(
            "server_decode_tokens_per_second", "Self-reported by the server.", "model"
        )
        threshold = gauge("threshold_bytes", "Thresholds of the machine's memory.", "level")
        threshold.labels("warning").set(header.levels.warning_bytes)
        threshold.labels("critical").set(header.levels.critical_bytes)
        gauge("info", "The subject that is watched.", "subject").labels(header.subject).set(1)

    @property
    def port(self) -> int:
        """The port that is served; 0 before and after."""
        return int(self._server.server_port) if self._server is not None else 0

    def __enter__(self) -> Exposition:
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(
                self._port, addr=LOOPBACK, registry=self.registry
            )
        except OSError as error:
            raise SelectionError(
                f"--prometheus {self._port}: {LOOPBACK}:{self._port} cannot be had"
                f" ({error.strerror or error}); name another port, or 0 for a free one"
            ) from error
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def on_line(self, line: Line) -> None:
        """Count a new record."""
        if isinstance(line, Request):
            self._add_request(line)
        elif isinstance(line, Alert):
            self._alerts.labels(line.alert, line.level).inc()
        elif isinstance(line, Loaded):
            self._load.set(line.load_s)
        elif isinstance(line, SelfReport):
            self._self_reported.clear()
            for worker in line.workers[:20]:
                if worker.decode_tps is not None:
                    self._self_reported.labels(worker.model).set(worker.decode_tps)

    def on_figures(self, figures: Figures) -> None:
        """Take the estimates."""
        self._restarts.set(figures.restarts)
        if (growth := figures.growth) is not None:
            self._growth.labels("estimate").set(growth.per_request)
            self._growth.labels("lower").set(growth.lower)
            self._growth.labels("upper").set(growth.upper)
            self._hourly.set(growth.per_hour)

    def _add_request(self, request: Request) -> None:
        memory = request.look
        self._requests.labels(request.outcome).inc()
        self._used.set(memory.machine_used_bytes)
        if memory.held_bytes is not None:
            self._held.set(memory.held_bytes)
        if memory.resident_bytes is not None:
            self._resident.set(memory.resident_bytes)
        if request.ttft_s is not None:
            self._ttft.observe(request.ttft_s)
        if request.e2e_s is not None:
            self._e2e.observe(request.e2e_s)
        if request.decode_tps is not None:
            self._decode.set(request.decode_tps)
