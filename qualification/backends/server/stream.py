"""A streamed chat completion: its lines timed as they arrive, and read when all are there.

Parsing one piece (JSON, the client's own types) takes longer than a tiny model needs for a token.
So each line is stored with the moment at which it came, and nothing is parsed until the stream has
ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from qualification.backends.clocks import TokenClock
from qualification.backends.server.tokens import Piece
from qualification.core.errors import BackendFailed

_TEXT_LIMIT = 500


@dataclass
class Streamed:
    """A streamed answer. ``timings`` are self-reported by llama-server, in its last piece.

    ``pieces`` are of the answer and of what was thought before it: both take time and are counted.
    """

    pieces: list[Piece] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    identifier: str = ""
    timings: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(piece.text for piece in self.pieces if not piece.is_thought)

    @property
    def thinking(self) -> str:
        """What the server told apart from the answer as thinking."""
        return "".join(piece.text for piece in self.pieces if piece.is_thought)


def timed(lines: Iterable[str], clock: TokenClock) -> list[tuple[float, str]]:
    """The data of each event with its time in seconds since the request began."""
    events = []
    for line in lines:
        if line.startswith("data:"):
            clock.tick()
            events.append((clock.times_s[-1], line[len("data:") :]))
    return events


def read(events: Iterable[tuple[float, str]]) -> Streamed:
    """The answer of a stream's events; BackendFailed for one that breaks the protocol."""
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
        error = chunk["error"]
        answer.error = str(error.get("message", error) if isinstance(error, dict) else error)
        return
    if usage := chunk.get("usage"):
        answer.prompt_tokens = int(usage["prompt_tokens"])
        answer.completion_tokens = int(usage["completion_tokens"])
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        answer.cached_tokens = None if cached is None else int(cached)
    answer.identifier = str(chunk.get("id") or answer.identifier)
    answer.timings = chunk.get("timings") or answer.timings
    for choice in chunk.get("choices") or ():
        answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
        for text, is_thought in _texts(choice["delta"]):
            if text:
                answer.pieces.append(Piece(text, time_s, _so_far(chunk), is_thought))
        for token in (choice.get("logprobs") or {}).get("content") or ():
            answer.margins.append(_margin(token["top_logprobs"]))


def _texts(delta: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """The texts of a piece, each with whether it is thought: as a field, or as a part of a list."""
    thought = delta.get("reasoning_content") or delta.get("reasoning")  # Ollama, newer vLLM
    if thought:
        yield str(thought), True
    content = delta.get("content")
    for part in content if isinstance(content, list) else ():
        if part.get("type") == "thinking":
            yield "".join(str(inner.get("text", "")) for inner in part["thinking"]), True
        else:
            yield str(part.get("text", "")), False
    if content and not isinstance(content, list):
        yield str(content), False


def _so_far(chunk: dict[str, Any]) -> int | None:
    """Tokens generated up to this piece; None if the server does not report them."""
    count = (chunk.get("timings") or {}).get("predicted_n")
    return count if isinstance(count, int) else None


def _margin(best: list[dict[str, Any]]) -> float:
    """The logit margin: log-probabilities differ from each other by as much as logits do."""
    if len(best) < 2:
        return float("inf")
    return float(best[0]["logprob"]) - float(best[1]["logprob"])
