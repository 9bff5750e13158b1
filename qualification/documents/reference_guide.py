"""The reference guide: what each model of a session can do, how to load it, its bugs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qualification.documents.figures import Figures, word
from qualification.documents.model import (
    Document,
    Inline,
    Line,
    Section,
    Span,
    Table,
    code,
    columns,
    inline,
)
from qualification.documents.recommendations import evidence
from qualification.documents.sections import bugs, changes, comparison
from qualification.documents.sections.comparison import state_word
from qualification.documents.sections.guide import loading_methods
from qualification.documents.session_view import SessionView
from qualification.judging.stats.estimators import median
from qualification.results.closing import sentence, state
from qualification.results.rows import Row

NAME = "reference-guide"


def reference_guide(view: SessionView) -> Document:
    """Capabilities, loading methods, rankings, known issues, what changed."""
    return Document(
        name=NAME,
        title="Reference guide: vision-language models and how to load them",
        subject=view.subject,
        lines=tuple(_lines(view)),
        overview=(),
        sections=tuple(section for section in _sections(view) if section is not None),
        evidence=evidence(view),
        session=view.results.session.identifier,
        said_once=view.said_once,
    )


def _lines(view: SessionView) -> Iterator[Line]:
    yield Line("works", inline(sentence(view.table)))
    timed = [
        row
        for row in view.table
        if row.phases.get("e2e_s")
        and state(row) == "works"
        and row.verdict.name != "unfit"
        and not (row.is_canary or row.is_synthetic)
    ]
    if timed:
        quick = min(timed, key=lambda row: median(row.phases["e2e_s"]))
        seconds = view.figures.of(quick, quick.phases["e2e_s"], "s")
        yield Line("quickest answer", inline(code(quick.identifier), ", ", seconds))
    yield Line(
        "choose",
        inline(
            "which of them to run on this machine: ", Span("recommendations", "code"), " beside it"
        ),
    )


def _sections(view: SessionView) -> Iterator[Section | None]:
    overview = _overview(view.table, view.figures)
    yield Section("capabilities", "Capability overview", (*view.notes, overview))
    yield loading_methods(view.measured, view.results, view.registry)
    yield comparison.rankings(view.table, view.figures)
    yield from bugs.known_bugs(view.registry.bugs, view.results)
    yield from changes.changed(view.changes)


def _overview(table: Sequence[Row], figures: Figures) -> Table:
    heads = ("model", "image", "text", "whole answer", "load", "peak memory", "status")
    return Table(
        "One row for each deployment; medians of the raw trials",
        columns(*heads, numeric=heads[3:6]),
        tuple(_overview_row(row, figures) for row in table),
    )


def _overview_row(row: Row, figures: Figures) -> tuple[Inline, ...]:
    return (
        inline(code(row.identifier)),
        inline(comparison.mark(row, "image")),
        inline(comparison.mark(row, "text")),
        inline(figures.of(row, row.phases.get("e2e_s", ()), "s")),
        inline(figures.of(row, row.load_s, "s")),
        inline(figures.peak(row)),
        inline(word(state_word(row))),
    )
