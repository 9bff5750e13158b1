"""The requests of each client when several clients load a server at once.

No two clients have an answer in common, so an answer that reaches the wrong client is detected. No
two requests have the same image: one pixel of each differs by a shade, so no cache of a server can
answer in its place.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qualification.core.protocol import Message, Part
from qualification.servers.chat import as_request, data_url
from qualification.servers.load import ClientRequest, Script
from qualification.tasks.questions import Question

QUESTIONS_PER_CLIENT = 2
"""Each has an answer, and so a kind of image, of its own."""

PATTERN: tuple[tuple[int, bool], ...] = (
    (0, False),
    (1, False),
    (0, True),
    (1, False),
    (0, False),
    (1, True),
)
"""A client's requests in turn: the index of its question, and whether the answer is long."""

MARKS = 1000
"""More than the requests of one client in one load, so marks of two loads never coincide."""


@dataclass(frozen=True)
class Asking:
    """How the questions are put to one deployment.

    ``messages_of`` returns the turns of a question with its images as files. ``extra`` and
    ``long_extra`` are fields specific to this server: of a short request, and of one whose answer
    has ``long_tokens``. ``long_prompt`` replaces the question in the latter.
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
        """A client's requests by number; ``load`` is the number of the load that it belongs to.

        Two loads mark the image of the same question in different places.
        """
        conversations = [tuple(self.messages_of(question)) for question in questions]

        def ask(number: int) -> ClientRequest:
            turn, long = pattern[(number - 1) % len(pattern)]
            turn %= len(questions)
            prompt = self.long_prompt if long else ""
            mark = load * MARKS + number
            return ClientRequest(
                question=questions[turn].identifier,
                messages=[_as_chat(message, mark, prompt) for message in conversations[turn]],
                max_tokens=self.long_tokens if long else self.max_tokens,
                long=long,
                extra=dict(self.long_extra if long else self.extra),
            )

        return ask


def all_of(dealt: Sequence[Sequence[Question]]) -> tuple[tuple[int, bool], ...]:
    """The pattern of a single client: each question once, then the first with a long answer."""
    return (*((turn, False) for turn in range(sum(map(len, dealt)))), (0, True))


def deal(questions: Sequence[Question], clients: int) -> tuple[tuple[Question, ...], ...]:
    """Two questions for each client, all with different answers; ValueError for too few."""
    by_answer: dict[str, Question] = {}
    for question in questions:
        by_answer.setdefault(question.answer, question)
    needed = QUESTIONS_PER_CLIENT * clients
    if len(by_answer) < needed:
        raise ValueError(
            f"{len(by_answer)} different answers are too few for {clients} clients with "
            f"{QUESTIONS_PER_CLIENT} each"
        )
    dealt = list(by_answer.values())[:needed]
    return tuple(tuple(dealt[client::clients]) for client in range(clients))


def _as_chat(message: Message, mark: int, prompt: str) -> dict[str, Any]:
    if prompt:
        images = [part for part in message.parts if part.kind == "image"]
        message = replace(message, parts=(*images, Part("text", prompt)))
    return as_request(message, lambda part: data_url(marked(Path(part.value), mark)))


def marked(file: Path, mark: int) -> bytes:
    """The image in a file as PNG, with pixel number ``mark`` changed by one level of red."""
    from PIL import Image

    with Image.open(file) as opened:
        image = opened.convert("RGB")
    place = (mark % image.width, mark // image.width % image.height)
    pixel = image.getpixel(place)
    assert isinstance(pixel, tuple)
    image.putpixel(place, (pixel[0] ^ 1, pixel[1], pixel[2]))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
