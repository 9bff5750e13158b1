"""The figures of a run for Prometheus, on loopback only, in a registry of its own."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from qualification.core.errors import SelectionError
from qualification.watch.records import Alert, Figures, Header, Line, Loaded, Request, ServerWord

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

LOOPBACK = "127.0.0.1"
_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


class Exposition:
    """Serves ``/metrics`` on ``http://127.0.0.1:PORT`` while it is open; port 0 takes a free one.

    Raises SelectionError where the port cannot be had or the package is missing.
    """

    def __init__(self, header: Header, port: int) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError as error:
            raise SelectionError(
                "--prometheus needs a package: pip install 'qualification[server]'"
            ) from error
        # The process's own default registry would add figures of this program to the subject's.
        self.registry = registry = CollectorRegistry()
        self._wanted = port
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
        self._decode = gauge("decode_tokens_per_second", "Of the last answer.")
        self._held = gauge("held_bytes", "Memory of the subject's own, after the last request.")
        self._resident = gauge("resident_bytes", "Resident memory of the subject's processes.")
        self._used = gauge("machine_used_bytes", "Memory in use of the machine.")
        self._growth = gauge("growth_bytes_per_request", "Theil-Sen slope.", "bound")
        self._hourly = gauge("growth_bytes_per_hour", "The same slope by the hour.")
        self._load = gauge("load_seconds", "Of the last load.")
        self._restarts = gauge("restarts", "Restarts of the subject so far.")
        self._word = gauge("server_decode_tokens_per_second", "The server's own word.", "model")
        mark = gauge("mark_bytes", "Marks of the machine's memory.", "level")
        mark.labels("warning").set(header.levels.warning_bytes)
        mark.labels("critical").set(header.levels.critical_bytes)
        gauge("info", "What is watched.", "subject").labels(header.subject).set(1)

    @property
    def port(self) -> int:
        """The port that is served; 0 before and after."""
        return int(self._server.server_port) if self._server is not None else 0

    def __enter__(self) -> Exposition:
        from prometheus_client import start_http_server

        try:
            self._server, self._thread = start_http_server(
                self._wanted, addr=LOOPBACK, registry=self.registry
            )
        except OSError as error:
            raise SelectionError(
                f"--prometheus {self._wanted}: {LOOPBACK}:{self._wanted} cannot be had"
                f" ({error.strerror or error}); name another port, or 0 for a free one"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def seen(self, line: Line) -> None:
        """Count something new."""
        if isinstance(line, Request):
            self._request(line)
        elif isinstance(line, Alert):
            self._alerts.labels(line.alert, line.level).inc()
        elif isinstance(line, Loaded):
            self._load.set(line.load_s)
        elif isinstance(line, ServerWord):
            self._word.clear()
            for worker in line.workers[:20]:
                if worker.decode_tps is not None:
                    self._word.labels(worker.model).set(worker.decode_tps)

    def figures(self, figures: Figures) -> None:
        """Take the estimates."""
        self._restarts.set(figures.restarts)
        if (growth := figures.growth) is not None:
            self._growth.labels("estimate").set(growth.per_request)
            self._growth.labels("lower").set(growth.lower)
            self._growth.labels("upper").set(growth.upper)
            self._hourly.set(growth.per_hour)

    def _request(self, seen: Request) -> None:
        self._requests.labels(seen.outcome).inc()
        self._used.set(seen.look.machine_used_bytes)
        if seen.look.held_bytes is not None:
            self._held.set(seen.look.held_bytes)
        if seen.look.resident_bytes is not None:
            self._resident.set(seen.look.resident_bytes)
        if seen.ttft_s is not None:
            self._ttft.observe(seen.ttft_s)
        if seen.e2e_s is not None:
            self._e2e.observe(seen.e2e_s)
        if seen.decode_tps is not None:
            self._decode.set(seen.decode_tps)
