"""A streamed chat completion: its lines timed as they arrive, and read when all are there.

Reading one piece (JSON, the client's own types) takes longer than a tiny model needs for a token.
So the stream is taken line by line, each with the moment at which it came, and nothing else is
done until it has ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from qualification.backends.clocks import TokenClock
from qualification.backends.server.tokens import Piece
from qualification.core.errors import BackendFailed

_TEXT_LIMIT = 500


@dataclass
class Streamed:
    """What a stream said. ``timings`` are llama-server's own, of the last piece that had any."""

    pieces: list[Piece] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    timings: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(piece.text for piece in self.pieces)


def timed(lines: Iterable[str], clock: TokenClock) -> list[tuple[float, str]]:
    """The data of each event with its time in seconds since the request began."""
    found = []
    for line in lines:
        if line.startswith("data:"):
            clock.tick()
            found.append((clock.times_s[-1], line[len("data:") :]))
    return found


def read(events: Iterable[tuple[float, str]]) -> Streamed:
    """Raises BackendFailed where an event is not what the protocol says."""
    answer = Streamed()
    for time_s, data in events:
        if data.strip() == "[DONE]":
            break
        try:
            chunk = json.loads(data)
            _take(chunk, time_s, answer)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise BackendFailed(
                f"its stream has an event that is no piece of a chat completion "
                f"({type(error).__name__}): {data[:_TEXT_LIMIT]!r}"
            ) from error
    return answer


def _take(chunk: dict[str, Any], time_s: float, answer: Streamed) -> None:
    if chunk.get("error"):
        said = chunk["error"]
        answer.error = str(said.get("message", said) if isinstance(said, dict) else said)
        return
    if usage := chunk.get("usage"):
        answer.prompt_tokens = int(usage["prompt_tokens"])
        answer.completion_tokens = int(usage["completion_tokens"])
    answer.timings = chunk.get("timings") or answer.timings
    for choice in chunk.get("choices") or ():
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        if text := choice["delta"].get("content"):
            answer.pieces.append(Piece(str(text), time_s, _so_far(chunk)))
        for token in (choice.get("logprobs") or {}).get("content") or ():
            answer.margins.append(_margin(token["top_logprobs"]))


def _so_far(chunk: dict[str, Any]) -> int | None:
    """How many tokens were generated up to this piece, where the server says it."""
    found = (chunk.get("timings") or {}).get("predicted_n")
    return found if isinstance(found, int) else None


def _margin(best: list[dict[str, Any]]) -> float:
    """The best logit less the second best: the logarithms of probabilities differ as logits do."""
    if len(best) < 2:
        return float("inf")
    return float(best[0]["logprob"]) - float(best[1]["logprob"])
