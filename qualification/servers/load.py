"""Several clients of one server at once: each asks questions of its own, for a bounded time.

Every simulated client is an official ``openai`` client of its own, with connections of its own,
and asks the next question as soon as it has its answer (a closed loop). Answers are streamed.
All clients live in one event loop of the calling process; times are of ``time.perf_counter``, in
seconds from the start of the load. The image of a request is encoded before its clock starts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qualification.core.text import disarm
from qualification.servers.client import async_client

MAX_FAILURES = 3
"""Failed requests after which a client stops: a broken server is not asked for ever."""

_TEXT_LIMIT = 2000


@dataclass(frozen=True)
class ClientRequest:
    """One request to make.

    ``question`` is the question's identifier, ``extra`` the fields that only this server knows.
    ``long`` marks an answer whose decoding is timed: it is to have exactly ``max_tokens`` tokens.
    """

    question: str
    messages: Sequence[dict[str, Any]]
    max_tokens: int
    long: bool = False
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClientReply:
    """The outcome of one request. ``client`` counts from 1, and so does ``number``, its requests.

    ``first_s`` and ``last_s`` are when the first and last piece of text came (None: no text).
    ``tokens`` is what the server reports (its end token may be among them); if it reports nothing,
    the requested number where the length ended the answer, else the number of pieces. ``error`` is
    a sentence if the request failed or its answer broke off, '' otherwise; the text is hostile.
    """

    client: int
    number: int
    question: str
    long: bool
    sent_s: float
    done_s: float
    first_s: float | None = None
    last_s: float | None = None
    tokens: int = 0
    finish_reason: str = ""
    text: str = ""
    error: str = ""

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the request's start to the first text."""
        return None if self.first_s is None else self.first_s - self.sent_s


@dataclass(frozen=True)
class LoadLimits:
    """How long a load lasts.

    A client stops once ``duration_s`` are over and it has made ``least`` requests; at
    ``deadline_s`` all clients stop, and a request without an answer has failed.
    """

    duration_s: float
    least: int
    deadline_s: float


Script = Callable[[int], ClientRequest]
"""A client's request by its number, which counts from 1."""


def run_clients(
    address: str, served_as: str, scripts: Sequence[Script], limits: LoadLimits
) -> tuple[ClientReply, ...]:
    """Ask the server at ``address`` (``http://127.0.0.1:8080/v1``), one client per script.

    Returns the replies in the order in which they ended. A failure of the server does not raise,
    it is in the reply. Must not be called from a running event loop.
    """
    return asyncio.run(_Load(address, served_as, limits).run(scripts))


class _Load:
    def __init__(self, address: str, served_as: str, limits: LoadLimits) -> None:
        self._address = address
        self._served_as = served_as
        self._limits = limits
        self._start = 0.0
        self._replies: list[ClientReply] = []

    async def run(self, scripts: Sequence[Script]) -> tuple[ClientReply, ...]:
        self._start = time.perf_counter()
        await asyncio.gather(
            *(self._client(client, script) for client, script in enumerate(scripts, start=1))
        )
        return tuple(self._replies)

    def _now(self) -> float:
        return time.perf_counter() - self._start

    async def _client(self, client: int, script: Script) -> None:
        async with async_client(self._address) as api:
            number = failed = 0
            while failed < MAX_FAILURES and self._goes_on(number):
                number += 1
                ask = script(number)
                reply = await self._ask(api, client, number, ask)
                self._replies.append(reply)
                failed += bool(reply.error)

    def _goes_on(self, requests: int) -> bool:
        now = self._now()
        if now >= self._limits.deadline_s:
            return False
        return now < self._limits.duration_s or requests < self._limits.least

    async def _ask(self, api: Any, client: int, number: int, ask: ClientRequest) -> ClientReply:
        import httpx2
        import openai

        stream = _Stream()
        error = ""
        sent_s = self._now()
        remaining_s = max(0.0, self._limits.deadline_s - sent_s)
        try:
            await asyncio.wait_for(self._listen(api, ask, stream), remaining_s)
        except TimeoutError:  # not TimeoutError before Python 3.11
            error = f"no answer within the deadline of {self._limits.deadline_s:g} s"
        except openai.APIStatusError as failure:
            error = f"answered {failure.status_code}: {failure.message}"
        except (openai.OpenAIError, httpx2.HTTPError, OSError, ValueError) as failure:
            cause = failure.__cause__ or failure
            error = f"broke off: {type(cause).__name__}: {cause}"
        if not error and stream.finish_reason not in ("stop", "length"):
            error = f"the stream ended with finish_reason {stream.finish_reason or None!r}"
        elif not error and not stream.pieces:
            error = "the answer is empty"
        return ClientReply(
            client=client,
            number=number,
            question=ask.question,
            long=ask.long,
            sent_s=sent_s,
            done_s=self._now(),
            first_s=stream.first_s,
            last_s=stream.last_s,
            tokens=stream.tokens(ask.max_tokens),
            finish_reason=stream.finish_reason,
            text=disarm("".join(stream.pieces), _TEXT_LIMIT),
            error=disarm(error, _TEXT_LIMIT),
        )

    async def _listen(self, api: Any, ask: ClientRequest, stream: _Stream) -> None:
        chunks = await api.chat.completions.create(
            model=self._served_as,
            messages=list(ask.messages),
            max_tokens=ask.max_tokens,
            temperature=0.0,
            seed=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=ask.extra,
        )
        async with chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    stream.reported = chunk.usage.completion_tokens
                if not chunk.choices:
                    continue
                choice = chunk.choices[0]
                stream.finish_reason = str(choice.finish_reason or stream.finish_reason)
                if choice.delta.content:
                    stream.last_s = self._now()
                    stream.first_s = stream.last_s if stream.first_s is None else stream.first_s
                    stream.pieces.append(choice.delta.content)


@dataclass
class _Stream:
    """A streamed answer, as far as it has come."""

    pieces: list[str] = field(default_factory=list)
    first_s: float | None = None
    last_s: float | None = None
    reported: Any = None
    finish_reason: str = ""

    def tokens(self, requested: int) -> int:
        # The report is checked: the client library accepts any JSON as a usage.
        if isinstance(self.reported, int) and 0 < self.reported <= max(requested, len(self.pieces)):
            return self.reported
        return requested if self.finish_reason == "length" else len(self.pieces)
