"""Questions that the records of one deployment answer by themselves. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qualification.core.format import count_text, number, percent_text, rate_text
from qualification.documents.model import Inline, Span, code, inline
from qualification.documents.sections.answers.subject import Answer, Subject, accuracy_text
from qualification.judging.budgets import CONSISTENT_VARIATION


def without_an_image(subject: Subject) -> Iterator[Answer]:
    """From the check of text-only questions, and from conversations without their image."""
    row = subject.row
    points: list[Inline] = []
    outcomes = {c.outcome for c in row.checks if c.test == "test_text_only_question"}
    if "text_only" not in subject.deployment.model.capabilities:
        points.append(inline("No: it is declared for questions about images only."))
    elif outcomes == {"passed"}:
        points.append(inline("Yes: its answers to questions without an image were correct."))
    elif outcomes & {"failed", "xfailed", "error"}:
        points.append(inline("Not reliably: the check of questions without an image failed."))
    if guessed := row.quality.get("context_without_image", ()):
        points.append(
            inline(
                "With the image left out of a conversation, it answered ",
                subject.figures.of(row, guessed, "share"),
                " of the questions about it correctly, which can only be guessed.",
            )
        )
    if points:
        yield Answer("Does it answer without an image?", tuple(points))


def how_many_images(subject: Subject) -> Iterator[Answer]:
    """What the context holds, by the tokens that an image took, and what was tried."""
    row, model = subject.row, subject.deployment.model
    image, prompt = (
        max(row.phases.get(metric, (0.0,))) for metric in ("image_tokens", "prompt_tokens")
    )
    if "vision" not in model.capabilities or not 0 < image <= prompt:
        return
    if "multi_image" not in model.capabilities:
        text = "One: it is not declared for more. "
    else:
        context = (row.load.context if row.load else 0) or model.context
        room = context - model.generation.max_tokens - (prompt - image)
        text = (
            f"{max(0, int(room // image))} at most: a context of {context:,} tokens, less "
            f"{model.generation.max_tokens:,} for the answer and {count_text(prompt - image)} for "
            "the text. "
        )
    text += f"The image of a timed request took {count_text(image)} tokens; a larger one may "
    text += "take more."
    tried = [
        int(match[1])
        for check in row.checks
        if check.outcome == "passed"
        if (match := re.fullmatch(r"test_takes_several_images\[(\d{1,3})\]", check.test))
    ]
    text += f" Tried in one request: {max(tried)}." if tried else ""
    yield Answer("How many images does a request take?", (inline(text),))


def slow_first_request(subject: Subject) -> Iterator[Answer]:
    """The load, which comes once, beside the time to first token, which comes each time."""
    row, figures = subject.row, subject.figures
    if not row.load_s or not row.ttft_s or subject.deployment.source.server == "url":
        return
    content: list[str | Span] = ["It waits for the load: ", figures.of(row, row.load_s, "s")]
    if cold := row.phases.get("load_cold_s"):
        content += [" (", figures.of(row, cold, "s"), " with nothing in the page cache)"]
    content += [", once. Every request then takes ", figures.of(row, row.ttft_s, "s")]
    content.append(" to its first token")
    names = {"preprocess_s": "preprocessing", "vision_encode_s": "vision", "prefill_s": "prefill"}
    parts = [(name, row.phases[metric]) for metric, name in names.items() if metric in row.phases]
    for place, (name, values) in enumerate(parts):
        content += [f"{', ' if place else ': '}{name} ", figures.of(row, values, "s")]
    content.append(". Keep the server running.")
    yield Answer("Why is the first request slow?", (inline(*content),))


def trustworthy(subject: Subject) -> Iterator[Answer]:
    """How often, how alike, in which state of the machine, and whether physics allows it."""
    row, session = subject.row, subject.results.session
    if not row.decode_tps:
        return
    points: list[Inline] = []
    text = "Speed: one repetition, so its spread is not known"
    if row.variation is not None:
        least, most = number(min(row.decode_tps)), rate_text(max(row.decode_tps))
        text = (
            f"Speed: the median of {len(row.decode_tps)} repetitions, {least} to {most}, CV "
            f"{percent_text(row.variation)} (consistent: up to "
            f"{percent_text(CONSISTENT_VARIATION, digits=0)})"
        )
    points.append(inline(f"{text}."))
    if share := row.share_of_roofline:
        roof = f"{rate_text(row.roofline_tps)} that the memory bandwidth allows"
        points.append(inline(f"It is {percent_text(share, digits=0)} of the {roof}."))
    unfit = [condition for condition in session.conditions if not condition.fit]
    for condition in unfit:
        name = condition.name.replace("_", " ")
        points.append(inline(f"Not fit for timing: {name} was ", Span(condition.value, "quoted")))
    if session.conditions and not unfit:
        points.append(inline(f"All {len(session.conditions)} conditions were fit for timing."))
    if accuracy := accuracy_text(row):
        points.append(inline(f"Accuracy: {accuracy}."))
    if row.untried:
        points.append(inline(f"{row.untried} selected tests were not tried to their end."))
    points.append(inline("The trials themselves: ", code(f"qualify explain {row.identifier}")))
    yield Answer("Can I trust these figures?", tuple(points))
