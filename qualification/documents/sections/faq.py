"""Questions that are asked of a recommendation. Only those that the records answer are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from qualification.core.declarations import Deployment
from qualification.core.results import Results
from qualification.documents.model import Block, Items, Paragraph, Section, Span, inline
from qualification.documents.sections.answers.of_several import (
    more_bits,
    next_larger,
    two_at_once,
    which_backend,
    why_faster,
)
from qualification.documents.sections.answers.of_the_pick import (
    how_many_images,
    slow_first_request,
    trustworthy,
    without_an_image,
)
from qualification.documents.sections.answers.subject import Answer, Subject
from qualification.models.registry import Registry
from qualification.results.rows import Row

_QUESTIONS: tuple[Callable[[Subject], Iterator[Answer]], ...] = (
    why_faster,
    next_larger,
    two_at_once,
    more_bits,
    which_backend,
    how_many_images,
    without_an_image,
    slow_first_request,
    trustworthy,
)


def faq(
    row: Row,
    deployment: Deployment,
    table: Sequence[Row],
    results: Results,
    registry: Registry,
) -> Section | None:
    """What this session answers about the pick, ``row`` of ``table``; None for no answer."""
    subject = Subject(row, deployment, table, results, registry)
    blocks: list[Block] = []
    for question in _QUESTIONS:
        for answer in question(subject):
            blocks.append(Paragraph(inline(Span(answer.question, "strong"))))
            single = len(answer.points) == 1
            blocks.append(Paragraph(answer.points[0]) if single else Items(answer.points))
    return Section("faq", "Questions and answers", tuple(blocks)) if blocks else None
