"""A client of ``/v1/admin/status``, which some servers have beside the standard endpoints.

Its figures are self-reported: they stand beside the measured ones and never in their place. How a
server computes ``tps`` and ``memory_gb`` is not known. The format is the one of
docs/published-documents.md ("Practices that are measured").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import httpx2
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qualification.core.errors import QualificationError
from qualification.core.text import disarm
from qualification.core.validation import first_problem
from qualification.servers.bounded import Bounds
from qualification.servers.client import http_options

MAX_BYTES = 1_000_000
NAME_LIMIT = 200
_NO_SUCH = (404, 405)


class StatusUnavailable(QualificationError):
    """The status cannot be read; ``absent``: because the server has no such endpoint."""

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(disarm(message, 500))
        self.absent = absent


@dataclass(frozen=True)
class WorkerStatus:
    """One worker as the server reports it; ``None`` for what it does not report.

    ``decode_tps`` is its ``tps`` unchanged; ``memory_bytes`` is its ``memory_gb`` times 10⁹.
    """

    model: str
    decode_tps: float | None = None
    memory_bytes: float | None = None
    pid: int | None = None


_Figure = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Worker(BaseModel):
    """The keys that are read; all others are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    model: Annotated[str, Field(max_length=10_000)]
    tps: _Figure | None = None
    memory_gb: _Figure | None = None
    pid: Annotated[int, Field(gt=0, lt=2**31)] | None = None


class _Status(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    workers: Annotated[list[_Worker], Field(max_length=1000)]


def status_url(base_url: str) -> str:
    """Where the status is, for a base URL with or without ``/v1``."""
    base = base_url.rstrip("/")
    return f"{base}/admin/status" if base.endswith("/v1") else f"{base}/v1/admin/status"


def status(base_url: str, *, timeout_s: float = 5.0) -> tuple[WorkerStatus, ...]:
    """The server's workers as it reports them; asked by POST, by GET where that is refused.

    ``timeout_s`` is for one exchange; there may be two. Raises StatusUnavailable with one sentence.
    """
    url = status_url(base_url)
    try:
        # No proxy and no redirect: the answer must be this server's.
        hooks = Bounds(timeout_s, MAX_BYTES).hooks()
        options = http_options(url, timeout_s) | {"trust_env": False, "event_hooks": hooks}
        with httpx2.Client(**options) as client:
            reply = client.post(url)
            if reply.status_code in _NO_SUCH:
                reply = client.get(url)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise StatusUnavailable(f"{url}: no answer: {reason}") from error
    code = reply.status_code
    if code in _NO_SUCH:
        raise StatusUnavailable(f"{url}: this server has no such endpoint ({code})", absent=True)
    if code != 200:
        raise StatusUnavailable(f"{url}: answered with status {code} instead of 200")
    return parse(reply.content, url)


def parse(body: bytes, where: str) -> tuple[WorkerStatus, ...]:
    """The workers in the body of an answer; raises StatusUnavailable with one sentence."""
    try:
        reported = _Status.model_validate(json.loads(body))
    except ValidationError as error:
        raise StatusUnavailable(f"{where}: {first_problem(error, whole='the answer')}") from None
    except (ValueError, RecursionError):
        raise StatusUnavailable(f"{where}: answered with something that is not JSON") from None
    return tuple(
        WorkerStatus(
            model=disarm(worker.model, NAME_LIMIT),
            decode_tps=worker.tps,
            memory_bytes=None if worker.memory_gb is None else worker.memory_gb * 1e9,
            pid=worker.pid,
        )
        for worker in reported.workers
    )
