"""How well models answer, task by task against chance, and what they answered, with the image."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence

from qualification.core.format import percent_text
from qualification.core.results import Answer
from qualification.documents.figures import Figures, origin
from qualification.documents.model import (
    Block,
    Figure,
    Inline,
    Paragraph,
    Picture,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.results.rows import Row
from qualification.tasks.chance import best_constant, chance
from qualification.tasks.questions import ALL_SKILLS, Question, asked_once


def by_task(rows: Sequence[Row], answers: Sequence[Answer], figures: Figures) -> Section | None:
    """A row for each deployment, a column for each task; None without answers."""
    of_row: dict[str, list[Answer]] = {}
    for answer in answers:
        of_row.setdefault(answer.deployment, []).append(answer)
    skills = [skill for skill in ALL_SKILLS if any(a.skill == skill for a in answers)]
    if not skills:
        return None
    table = Table(
        "Correct answers by task",
        columns("deployment", *skills, numeric=skills),
        (
            (inline(Span("chance", "quiet")), *(_chance(skill) for skill in skills)),
            (
                inline(Span("always the same answer", "quiet")),
                *(_constant(skill, answers) for skill in skills),
            ),
            *(
                (
                    inline(code(row.identifier)),
                    *(
                        _correct(
                            row, [a for a in of_row[row.identifier] if a.skill == skill], figures
                        )
                        for skill in skills
                    ),
                )
                for row in rows
                if row.identifier in of_row
            ),
        ),
    )
    return Section("tasks", "Accuracy by task", (table,), is_folded=len(rows) > _MOST)


_MOST = 12
"""Deployments whose table stands in the open."""


def _chance(skill: str) -> Inline:
    share = chance(skill)
    return inline(percent_text(share, digits=0) if share is not None else "–")


def _constant(skill: str, answers: Sequence[Answer]) -> Inline:
    expected = {answer.question: answer.expected for answer in answers if answer.skill == skill}
    return inline(percent_text(best_constant(list(expected.values())), digits=0))


def _correct(row: Row, answers: Sequence[Answer], figures: Figures) -> Inline:
    if not answers:
        return inline(Span("–", "quiet"))
    right = sum(answer.is_correct for answer in answers)
    figure = Figure(right / len(answers), "share", origin(row), source=figures.source)
    return inline(Span(f"{right} of {len(answers)}", figure=figure))


def outputs(name: str, answers: Sequence[Answer]) -> Section | None:
    """Two answers of a deployment beside their images: a correct one, and a wrong one if any."""
    blocks = tuple(_outputs([answer for answer in answers if answer.deployment == name]))
    title = f"What {name} answered"
    return Section("outputs", title, blocks) if blocks else None


def _outputs(answers: Sequence[Answer]) -> Iterator[Block]:
    with_image = [(answer, question) for answer in answers if (question := _asked(answer))]
    right = [pair for pair in with_image if pair[0].is_correct]
    wrong = [pair for pair in with_image if not pair[0].is_correct]
    chosen = [*right[:1], *wrong[:1]]
    for answer, question in chosen if len(chosen) == 2 else with_image[:2]:
        yield Picture(f"The image of the question {question.identifier}", image_address(question))
        mark = "correct" if answer.is_correct else f"wrong, expected {answer.expected}"
        prompt = f"{question.before} {answer.prompt}".strip()
        yield Paragraph(inline(f"“{prompt}” → ", Span(answer.text, "quoted"), f" ({mark})"))


def _asked(answer: Answer) -> Question | None:
    """The question, if it has one image; drawn anew, because nothing is stored of it."""
    if answer.skill not in ALL_SKILLS:
        return None
    for question in asked_once(answer.skill):
        same = (question.identifier, question.prompt, question.answer)
        if same == (answer.question, answer.prompt, answer.expected) and len(question.scenes) == 1:
            return question
    return None


def image_address(question: Question) -> str:
    """The first image of a question, as a ``data:`` address."""
    content = io.BytesIO()
    question.images()[0].save(content, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
