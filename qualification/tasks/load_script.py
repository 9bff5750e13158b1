"""What each client of a server asks when several ask at once.

No two clients share an answer: whoever is given another one's is caught. And no two requests share
a picture: one pixel of each is a shade off, so no cache of a server answers for it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualification.core.protocol import Message, Part
from qualification.servers.load import Ask, Script
from qualification.tasks.questions import Question

EACH = 2
"""Answers, and so kinds of pictures, that a client has."""

PATTERN: tuple[tuple[int, bool], ...] = (
    (0, False), (1, False), (0, True), (1, False), (0, False), (1, True),
)  # fmt: skip
"""Which of its questions a client asks in turn, and whether with a long answer."""

MARKS = 1000
"""Requests of one client and load; further apart are the marks of two loads."""


@dataclass(frozen=True)
class Asking:
    """How the questions are put to one deployment.

    ``messages_of`` gives the turns of a question with its pictures as files. ``extra`` and
    ``long_extra`` are the fields that only this server knows, of a short request and of one whose
    answer has ``long_tokens``; ``long_prompt`` stands in the place of the question in the latter.
    """

    messages_of: Callable[[Question], Sequence[Message]]
    max_tokens: int
    long_tokens: int
    extra: Mapping[str, Any]
    long_extra: Mapping[str, Any]
    long_prompt: str = ""

    def script(
        self,
        questions: Sequence[Question],
        *,
        load: int,
        pattern: Sequence[tuple[int, bool]] = PATTERN,
    ) -> Script:
        """A client's requests by their number; ``load`` is that of all loads which it is part of.

        Two loads of one question mark its picture in other places.
        """
        said = [tuple(self.messages_of(question)) for question in questions]

        def ask(number: int) -> Ask:
            turn, long = pattern[(number - 1) % len(pattern)]
            turn %= len(questions)
            prompt = self.long_prompt if long else ""
            mark = load * MARKS + number
            return Ask(
                question=questions[turn].identifier,
                messages=[_as_chat(message, mark, prompt) for message in said[turn]],
                max_tokens=self.long_tokens if long else self.max_tokens,
                long=long,
                extra=dict(self.long_extra if long else self.extra),
            )

        return ask


def all_of(dealt: Sequence[Sequence[Question]]) -> tuple[tuple[int, bool], ...]:
    """The pattern of one client that asks each question once, and the first with a long answer."""
    return (*((turn, False) for turn in range(sum(map(len, dealt)))), (0, True))


def deal(questions: Sequence[Question], clients: int) -> tuple[tuple[Question, ...], ...]:
    """Two questions for each client, of which no two have one answer; ValueError for too few."""
    by_answer: dict[str, Question] = {}
    for question in questions:
        by_answer.setdefault(question.answer, question)
    wanted = EACH * clients
    if len(by_answer) < wanted:
        raise ValueError(
            f"{len(by_answer)} different answers are too few for {clients} clients of {EACH}"
        )
    dealt = list(by_answer.values())[:wanted]
    return tuple(tuple(dealt[client::clients]) for client in range(clients))


def _as_chat(message: Message, mark: int, prompt: str) -> dict[str, Any]:
    parts = [_as_part(part, mark) for part in message.parts]
    if prompt:
        parts = [part for part in parts if part["type"] != "text"]
        parts.append({"type": "text", "text": prompt})
    return {"role": message.role, "content": parts}


def _as_part(part: Part, mark: int) -> dict[str, Any]:
    if part.kind != "image":
        return {"type": "text", "text": part.value}
    encoded = base64.b64encode(marked(Path(part.value), mark)).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}


def marked(file: Path, mark: int) -> bytes:
    """The picture in a file as PNG, its pixel number ``mark`` changed by one level of red."""
    from PIL import Image

    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    place = (mark % picture.width, mark // picture.width % picture.height)
    pixel = picture.getpixel(place)
    assert isinstance(pixel, tuple)
    picture.putpixel(place, (pixel[0] ^ 1, pixel[1], pixel[2]))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
