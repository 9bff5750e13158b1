"""The tokens of a server's stream: when each came, and their ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from qualification.servers.client import http_options

READ_S = 0.5e-3
"""Pieces that follow each other faster came in one read: they had waited in a buffer."""


@dataclass(frozen=True)
class Piece:
    """A piece of a stream's text. ``so_far``: tokens generated up to it, None if not reported."""

    text: str
    time_s: float
    so_far: int | None = None
    is_thought: bool = False


def token_times(pieces: Sequence[Piece], count: int) -> tuple[float, ...]:
    """When each of ``count`` tokens came, in seconds; never later than the piece that shows it.

    If there are as many pieces as tokens, each piece is a token. If the pieces report the number of
    tokens so far, each token has the time of the first piece that contains it. Otherwise the first
    token has the time of the first piece, the last token that of the last piece, and the tokens
    between are spread evenly, so that only a rate over all of them has a meaning. Of a burst, all
    tokens but the first have the time of the last piece, so that there is no rate.
    """
    if not pieces or count < 1:
        return ()
    begin_s, end_s = pieces[0].time_s, pieces[-1].time_s
    if count > 2 and is_burst(pieces):
        return (begin_s, *[end_s] * (count - 1))
    if len(pieces) == count:
        return tuple(piece.time_s for piece in pieces)
    if all(piece.so_far is not None for piece in pieces):
        times: list[float] = []
        for piece in pieces:
            times += [piece.time_s] * max(0, min(count, piece.so_far or 0) - len(times))
        times += [end_s] * (count - len(times))
        return (*times[:-1], end_s)
    if count == 1:
        return (begin_s,)
    step_s = (end_s - begin_s) / (count - 1)
    return (*(begin_s + step_s * number for number in range(count - 1)), end_s)


def is_burst(pieces: Sequence[Piece]) -> bool:
    """Whether one read brought half of the pieces or more.

    The reader was late then, and their times say how fast it reads, not how fast they were made.
    """
    longest = run = 1
    for before, piece in pairwise(pieces):
        run = run + 1 if piece.time_s - before.time_s < READ_S else 1
        longest = max(longest, run)
    return longest > 1 and 2 * longest >= len(pieces)


class Tokeniser:
    """Ids of the tokens of an answer's text, by the model's own tokeniser.

    The protocol has no ids. The ids of the text are the generated ones if encoding inverts
    decoding, as it does for the canaries. llama.cpp's ``/tokenize`` at ``url`` is asked first,
    because a GGUF file has a tokeniser of its own; else ``tokenizer.json`` in ``folder`` is used;
    without both there are no ids.
    """

    def __init__(self, folder: Path | None, url: str) -> None:
        self._local: Any = None
        self._url = url
        file = None if folder is None else folder / "tokenizer.json"
        if file is not None and file.is_file():
            from tokenizers import Tokenizer

            self._local = Tokenizer.from_file(str(file))

    def ids(self, text: str) -> tuple[int, ...]:
        """The ids of ``text``; () if it is empty or the ids are not known."""
        ids = self._remote(text) if text and self._url else ()
        if text and not ids and self._local is not None:
            return tuple(self._local.encode(text, add_special_tokens=False).ids)
        return ids

    @cached_property
    def _client(self) -> Any:
        import httpx2

        return httpx2.Client(**http_options(self._url, 30.0) | {"trust_env": False})

    def _remote(self, text: str) -> tuple[int, ...]:
        import httpx2

        try:
            reply = self._client.post(f"{self._url}/tokenize", json={"content": text})
            ids = reply.json()["tokens"] if reply.status_code == 200 else None
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            ids = None
        if not isinstance(ids, list) or not all(isinstance(token, int) for token in ids):
            self._url = ""  # this server has no such endpoint
            return ()
        return tuple(ids)
