"""Asks a loaded deployment until its verdict is known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qualification.core.errors import WorkerError
from qualification.core.protocol import Message, Part
from qualification.see.conclusions import Conclusion, conclude, next_series
from qualification.see.series import Look, SeriesName, questions_of
from qualification.session.deployed import Deployed
from qualification.tasks.questions import Question


@dataclass(frozen=True)
class Sight:
    """One run: its looks in their order, what they mean, and how long they took (seconds)."""

    looks: tuple[Look, ...]
    conclusion: Conclusion
    seconds: float


def see(loaded: Deployed, scratch: Path, *, seed: int, deadline_s: float) -> Sight:
    """Ask; what is not known at the deadline is not asked any more."""
    start, looks = time.monotonic(), list[Look]()
    while (series := next_series(looks, loaded.deployment.model)) is not None:
        for look in _looks(loaded, series, scratch, seed):
            looks.append(look)
            if look.failure:
                break
            if time.monotonic() - start > deadline_s:
                late = f"no verdict within {deadline_s:g} s, after {len(looks)} answers"
                looks.append(replace(look, failure=late))
                break
        if looks[-1].failure:
            break
    return Sight(tuple(looks), conclude(looks), time.monotonic() - start)


def _looks(loaded: Deployed, series: SeriesName, scratch: Path, seed: int) -> Iterator[Look]:
    for question in questions_of(series, seed):
        messages = loaded.messages(question)
        if series == "file name":
            messages = _under_one_name(messages, question, scratch)
        try:
            text = loaded.converse(*messages).text.strip()
        except WorkerError as error:
            yield Look(series, question, "", correct=False, failure=f"{error.kind}: {error}")
            return
        yield Look(series, question, text, loaded.is_correct(question, text))


def _under_one_name(
    messages: tuple[Message, ...], question: Question, scratch: Path
) -> tuple[Message, ...]:
    """The same question about a file whose content alone is another one each time."""
    file = scratch / "image.png"
    question.images()[0].save(file)
    return tuple(
        replace(
            message,
            parts=tuple(
                Part("image", str(file)) if part.kind == "image" else part for part in message.parts
            ),
        )
        for message in messages
    )
