"""Bounds of an HTTP exchange: a deadline for the whole of it, and a limit to what a server sends.

httpx2's own timeouts are for each read, so a server that sends a byte now and then holds a client
for ever; and it keeps a reply in memory whatever its size, unpacked. The hooks here end an exchange
at its deadline by shutting its connection down, take :data:`MOST_BYTES` of a reply, and refuse one
that is packed. Redirects are for the client not to follow.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx2

MOST_BYTES = 16_000_000
"""Of one reply: some 10,000 tokens streamed with their log-probabilities take 5 million."""


class Bounds:
    """Hooks for one client that has one exchange at a time; ``deadline_s`` None: no deadline."""

    def __init__(self, deadline_s: float | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.deadline_s = deadline_s
        self.most_bytes = most_bytes
        self.is_late = False
        self._connection: Any = None
        self._timer: threading.Timer | None = None

    def hooks(self) -> dict[str, list[Callable[..., Any]]]:
        """``event_hooks`` of a client."""
        return {"request": [self._begin], "response": [self._bound]}

    def async_hooks(self) -> dict[str, list[Callable[..., Any]]]:
        """``event_hooks`` of an asynchronous client; its caller has the deadline."""

        async def begin(request: httpx2.Request) -> None:
            request.headers["Accept-Encoding"] = "identity"

        async def bound(response: httpx2.Response) -> None:
            _refuse_packed(response)
            response.stream = _AsyncStream(response.stream, self.most_bytes)

        return {"request": [begin], "response": [bound]}

    def end(self) -> None:
        """The exchange is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, request: httpx2.Request) -> None:
        request.headers["Accept-Encoding"] = "identity"
        self.end()
        if self.deadline_s is None:
            return
        self.is_late = False
        request.extensions = {**request.extensions, "trace": self._trace}
        self._timer = threading.Timer(self.deadline_s, self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """httpcore2's own events: the connection that an exchange has."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._connection = info["return_value"]

    def _shut_down(self) -> None:
        self.is_late = True
        if self._connection is None:
            return  # the connection itself has this time-out
        with contextlib.suppress(OSError):
            self._connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def _bound(self, response: httpx2.Response) -> None:
        try:
            _refuse_packed(response)
        except httpx2.HTTPError:
            self.end()
            raise
        response.stream = _Stream(response.stream, self)


class _Stream(httpx2.SyncByteStream):
    def __init__(self, stream: Any, bounds: Bounds) -> None:
        self._stream = stream
        self._bounds = bounds

    def __iter__(self) -> Iterator[bytes]:
        count = 0
        try:
            for piece in self._stream:
                count += len(piece)
                _refuse_more(count, self._bounds.most_bytes)
                yield piece
        except httpx2.HTTPError as error:
            raise self._as_late(error) from error
        if self._bounds.is_late:  # a body that ends with its connection looks complete
            raise self._as_late(httpx2.ReadError(""))

    def close(self) -> None:
        self._bounds.end()
        self._stream.close()

    def _as_late(self, error: httpx2.HTTPError) -> httpx2.HTTPError:
        if not self._bounds.is_late:
            return error
        return httpx2.ReadTimeout(f"not complete after {self._bounds.deadline_s:g} s")


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, most_bytes: int) -> None:
        self._stream = stream
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for piece in self._stream:
            count += len(piece)
            _refuse_more(count, self._most_bytes)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _refuse_more(count: int, most_bytes: int) -> None:
    if count > most_bytes:
        raise httpx2.ReadError(f"a reply of more than {most_bytes:,} bytes")


def _refuse_packed(response: httpx2.Response) -> None:
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise httpx2.DecodingError(f"the reply is packed ({encoding[:40]}), which nobody asked for")
