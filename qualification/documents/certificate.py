"""The machine's certificate: one page on what was qualified here, and with what."""

from __future__ import annotations

from collections.abc import Iterator

from qualification.documents.figures import word
from qualification.documents.model import Document, Line, Section, Table, code, columns, inline
from qualification.documents.sections.comparison import state_word
from qualification.documents.sections.machine import facts
from qualification.documents.sections.upkeep import trust
from qualification.documents.session_view import SessionView
from qualification.results.closing import sentence, state

NAME = "certificate"


def certificate(view: SessionView) -> Document:
    """It holds for this machine with these releases; any other release is to be gated first."""
    session = view.results.session
    return Document(
        name=NAME,
        title="Certificate of qualification for vision-language models",
        subject=view.subject,
        lines=tuple(_lines(view)),
        overview=(),
        sections=(
            Section("qualified", "What was qualified", (*view.notes, _qualified(view))),
            Section("machine", "Machine and releases", (facts(session),)),
        ),
        evidence=(inline(f"Session {session.identifier}, started {session.started}."),),
        session=session.identifier,
        said_once=view.said_once,
    )


def _lines(view: SessionView) -> Iterator[Line]:
    yield Line("verdict", inline(sentence(view.table)))
    if view.choice.best is not None:
        yield Line("recommended", inline(code(view.choice.best.name)))
    yield trust(view.results, view.table)
    yield Line(
        "valid",
        inline(
            "for this machine with these releases; before another release is taken: ",
            code("qualify gate"),
            "; after a change of the machine: ",
            code("pytest -m here"),
        ),
    )


def _qualified(view: SessionView) -> Table:
    figures = view.figures
    works = [row for row in view.table if state(row) == "works"]
    listed = works[:_MOST]
    unlisted = f"; {len(works) - _MOST} more work" if len(works) > _MOST else ""
    heads = ("deployment", "tok/s", "first token", "peak", "accuracy", "verdict")
    return Table(
        f"Deployments that work{unlisted}",
        columns(*heads, numeric=heads[1:5]),
        tuple(
            (
                inline(code(row.identifier)),
                inline(figures.of(row, row.decode_tps, "tok/s", bare=True)),
                inline(figures.of(row, row.ttft_s, "s")),
                inline(figures.peak(row)),
                inline(figures.of(row, row.accuracy, "share")),
                inline(word(state_word(row))),
            )
            for row in listed
        ),
    )


_MOST = 12
"""Rows that leave it one page."""
