"""Asks a loaded deployment until its verdict is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qualification.core.declarations import KnownBug
from qualification.core.errors import WorkerError
from qualification.core.protocol import GenerateRequest, Message, Part
from qualification.see.conclusions import Conclusion, Target, conclude, is_decided, next_series
from qualification.see.series import (
    FORMATS,
    Look,
    Request,
    SeriesName,
    conversation,
    long_prompt,
    requests_of,
)
from qualification.session.deployed import Deployed, ImageSource
from qualification.tasks.renderings import natural, special

_SIDE = 672
"""Pixels of the longer side of what a real model is shown, where its files allow as many."""

_PHOTO_SCALE, _SMALL_LETTERS = 4, 2
"""How many times as large as for a canary special files are, and pixels of a letter's dots."""

_OVER, _MOST_WORDS, _WORDS = 1.1, 5000, 2500
"""A long prompt has more words than the context has tokens, and so many if that is not known."""


@dataclass(frozen=True)
class Sight:
    """One run: its looks in their order, what they mean, and how long they took (seconds)."""

    looks: tuple[Look, ...]
    conclusion: Conclusion
    seconds: float


KnownBugs = Callable[[str], tuple[KnownBug, ...]]
"""Test of the suites -> the known bugs that apply to it here."""


def see(
    loaded: Deployed,
    scratch: Path,
    *,
    seed: int,
    deadline_s: float,
    known_bugs: KnownBugs = lambda _: (),
) -> Sight:
    """Ask; what is not known at the deadline is not asked any more."""
    target = Target(loaded.deployment.model, loaded.is_canary, bool(loaded.load_report.address))
    start, looks, is_late = time.monotonic(), list[Look](), False
    while not is_late and (series := next_series(looks, target)) is not None:
        part: list[Look] = []
        for look in _looks(loaded, series, scratch, seed):
            part.append(look)
            if look.failure or is_decided(part):
                break
            if is_late := time.monotonic() - start > deadline_s:
                late = f"not complete after {deadline_s:g} s and {len(looks) + len(part)} answers"
                part[-1] = replace(look, failure=late)
                break
        looks += part
    return Sight(tuple(looks), conclude(looks, known_bugs), time.monotonic() - start)


def _looks(loaded: Deployed, series: SeriesName, scratch: Path, seed: int) -> Iterator[Look]:
    if series == "long prompt":
        requests: Sequence[Request] = [long_prompt(_words(loaded), seed)]
    else:
        requests = requests_of(series, seed, is_canary=loaded.is_canary)
    for request in requests:
        try:
            generation = loaded.send(
                GenerateRequest(
                    messages_of(loaded, request, scratch),
                    request.max_tokens or loaded.deployment.model.generation.max_tokens,
                    fields=dict(request.fields),
                )
            )
        except WorkerError as error:
            yield Look(request, "", correct=False, failure=f"{error.kind}: {error}")
            return
        text, times = generation.text.strip(), generation.token_times_s
        yield Look(
            request,
            text,
            not request.is_judged or loaded.is_correct(request.question, text),
            thought=generation.thinking,
            is_cut=generation.finish_reason == "length",
            prompt_tokens=generation.prompt_tokens,
            completion_tokens=generation.completion_tokens,
            reply_id=generation.reply_id,
            decode_s=times[-1] - times[0] if times else 0.0,
            e2e_s=generation.e2e_s,
        )


def messages_of(loaded: Deployed, request: Request, scratch: Path) -> tuple[Message, ...]:
    """The turns of a request as a deployment is asked them."""
    if request.texts:
        return tuple(Message(role, (Part("text", text),)) for role, text in conversation(request))
    images = images_of(request, scratch, None if loaded.is_canary else _side(loaded))
    messages = loaded.messages(request.question, images=images if request.has_images else ())
    if request.system:
        return (Message("system", (Part("text", request.system),)), *messages)
    return messages


def images_of(request: Request, scratch: Path, side: int | None) -> list[ImageSource]:
    """The images of a request, at most ``side`` pixels long; None: as a canary knows them."""
    question, series = request.question, request.series
    if series in FORMATS:
        scale = 1 if side is None else _PHOTO_SCALE
        special_file = special(question.scenes[0], FORMATS[series], scale)
        file = scratch / f"{question.identifier}.{special_file.suffix}"
        file.write_bytes(special_file.content)
        return [file]
    drawn: list[ImageSource] = []
    for number, scene in enumerate(question.scenes):
        image = scene.draw() if side is None else natural(scene, side, _letters(request))
        if series == "file name" or side is not None:
            # One name for all of a series: its content alone is another one each time.
            name = "image" if series == "file name" else f"{question.identifier}-{number}"
            file = scratch / f"{name}.{'png' if side is None else 'jpg'}"
            options: dict[str, Any] = {} if side is None else {"quality": 90, "subsampling": 0}
            image.save(file, **options)
            drawn.append(file)
        else:
            drawn.append(image)
    return drawn


def _letters(request: Request) -> int:
    """Pixels of a dot of the letters; 0: as large as the scene has them."""
    return _SMALL_LETTERS if request.series == "words" else 0


def _side(loaded: Deployed) -> int:
    """As many pixels as the model's own files promise to see, and not more than needed."""
    budget = loaded.deployment.model.image_budget
    if budget is None or not budget.pixels:
        return _SIDE
    return min(_SIDE, math.isqrt(budget.most * budget.pixels))


def _words(loaded: Deployed) -> int:
    """More than the context that is in force, if that is known and not too much to be read."""
    context = loaded.load_report.context
    if not context and loaded.is_managed:
        context = loaded.deployment.model.context
    return min(_MOST_WORDS, math.ceil(_OVER * context)) if context else _WORDS
