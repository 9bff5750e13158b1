"""What a server's stream says of tokens: when each came, and which they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Piece:
    """A piece of text of a stream. ``so_far``: tokens generated up to it, None where not said."""

    text: str
    time_s: float
    so_far: int | None = None


def token_times(pieces: Sequence[Piece], count: int) -> tuple[float, ...]:
    """When each of ``count`` tokens came, in seconds; never later than the piece that shows it.

    Where the pieces say how many tokens came so far, each token has the time of the first piece
    that has it. Where there are as many pieces as tokens, each is one. Otherwise the first token
    has the time of the first piece and the last that of the last one; those between are spread
    evenly, so only a rate over all of them means something.
    """
    if not pieces or count < 1:
        return ()
    first, last = pieces[0].time_s, pieces[-1].time_s
    if len(pieces) == count:
        return tuple(piece.time_s for piece in pieces)
    if all(piece.so_far is not None for piece in pieces):
        times: list[float] = []
        for piece in pieces:
            times += [piece.time_s] * max(0, min(count, piece.so_far or 0) - len(times))
        times += [last] * (count - len(times))
        return (*times[:-1], last)
    if count == 1:
        return (first,)
    step = (last - first) / (count - 1)
    return (*(first + step * number for number in range(count - 1)), last)


class Tokeniser:
    """Ids of the tokens of an answer's text, by the model's own tokeniser.

    The protocol does not tell ids. Those of the text are the ones that were generated wherever
    the tokeniser is the inverse of itself, as it is for the canaries. ``folder`` with a
    ``tokenizer.json`` is asked first, then llama.cpp's ``/tokenize`` at ``url``; without either
    nothing is known of them.
    """

    def __init__(self, folder: Path | None, url: str) -> None:
        self._local: Any = None
        self._url = url
        file = None if folder is None else folder / "tokenizer.json"
        if file is not None and file.is_file():
            from tokenizers import Tokenizer

            self._local = Tokenizer.from_file(str(file))

    def ids(self, text: str) -> tuple[int, ...]:
        """The ids of ``text``; () of an empty one, and where they are not known."""
        if text and self._local is not None:
            return tuple(self._local.encode(text, add_special_tokens=False).ids)
        return self._remote(text) if text and self._url else ()

    def _remote(self, text: str) -> tuple[int, ...]:
        import httpx2

        try:
            with httpx2.Client(trust_env=False, timeout=30) as client:
                reply = client.post(f"{self._url}/tokenize", json={"content": text})
                ids = reply.json()["tokens"] if reply.status_code == 200 else None
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            ids = None
        if not isinstance(ids, list) or not all(isinstance(one, int) for one in ids):
            self._url = ""  # it has no such thing: not asked again
            return ()
        return tuple(ids)
