"""The recommendations document of one stored session: one screen, then the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from qualification.core.declarations import Deployment
from qualification.documents.first_screen import first_screen
from qualification.documents.model import (
    Block,
    Document,
    Inline,
    Line,
    Section,
    Span,
    inline,
)
from qualification.documents.sections import (
    answered,
    bugs,
    changes,
    claims,
    comparison,
    details,
    faq,
    guide,
    machine,
    memory,
    monitoring,
    roadmap,
    session_plots,
)
from qualification.documents.sections.grid import grid
from qualification.documents.sections.upkeep import trust, upgrade
from qualification.documents.session_view import SessionView
from qualification.machine.names import describe
from qualification.models.suitability import suitability
from qualification.results.closing import sentence, state
from qualification.results.fit_tables import projections

NAME = "recommendations"


def recommendations(view: SessionView) -> Document:
    """Everything that a reader looks for, in that order."""
    return Document(
        name=NAME,
        title="Vision-language models on this machine",
        subject=view.subject,
        lines=tuple(_lines(view)),
        overview=tuple(_first_blocks(view)),
        sections=tuple(
            section for section in chain(_open(view), _folded(view)) if section is not None
        ),
        evidence=evidence(view),
        session=view.results.session.identifier,
        reported=view.reported,
        said_once=view.said_once,
    )


def _lines(view: SessionView) -> Iterator[Line]:
    results, table = view.results, view.table
    yield from first_screen(results, table, view.registry, view.choice)
    lines = (
        claims.claimed(view.claims, table),
        upgrade(results, table, view.tested, view.measured),
        *map(changes.since, view.changes),
        trust(results, table),
    )
    yield from (line for line in lines if line is not None)


def _first_blocks(view: SessionView) -> Iterator[Block]:
    if view.is_of_canaries:
        yield grid(view.table, view.registry)
        return
    best, fast, smallest = view.choice.best, view.choice.fast, view.choice.smallest
    picked = {pick.name for pick in (best, fast, smallest) if pick is not None}
    rows = [row for row in view.table if row.identifier in picked]
    plots = (
        session_plots.speed_plot(view.table),
        session_plots.memory_plot(rows, view.results.session.machine, view.tier),
    )
    yield from (plot for plot in plots if plot is not None)


def _open(view: SessionView) -> Iterator[Section | None]:
    """What everybody reads."""
    table, session = view.table, view.results.session
    yield comparison.comparison(table, view.figures, view.notes)
    yield memory.budget(table, session.machine, view.tier, view.figures)
    yield comparison.quality(table, view.figures)
    yield answered.by_task(table, view.results.answers, view.figures)
    yield comparison.rankings(table, view.figures)
    best = view.choice.best
    picked = next((d for d in view.measured if best and d.identifier == best.name), None)
    if picked is not None:
        yield answered.outputs(picked.identifier, view.results.answers)
        row = next(row for row in table if row.identifier == picked.identifier)
        yield guide.guide(picked, view.results, view.registry)
        yield monitoring.monitoring(row, picked, view.tier, session.machine, view.figures)
        yield faq.faq(row, picked, table, view.results, view.registry)


def _folded(view: SessionView) -> Iterator[Section | None]:
    """Evidence, and what only some ask for."""
    results, table, registry = view.results, view.table, view.registry
    deployments = registry.deployments()
    yield from bugs.known_bugs(registry.bugs, results)
    yield from changes.changed(view.changes)
    yield claims.claims_section(view.claims, table, view.figures)
    yield comparison.why(table)
    yield comparison.spread(table)
    yield details.phases(table, view.figures)
    yield details.registered(table, view.figures)
    yield details.under_load(table)
    yield details.capabilities(results.checks, deployments)
    yield details.server_conformance(results.checks, deployments, registry.bugs)
    yield comparison.revisions(table)
    yield memory.predicted_fit(registry, results.session.machine)
    yield details.projections(projections(table, results.session.machine, registry))
    yield roadmap.roadmap(_untested(view), results, registry)
    yield machine.machine(results.session)
    yield machine.method()


def _untested(view: SessionView) -> list[Deployment]:
    """Real models that are meant for this machine and did not run."""
    measured = {row.identifier for row in view.table if state(row) != "not tried"}
    return [
        deployment
        for deployment in view.registry.deployments()
        if deployment.source.weights == "hub"
        and deployment.identifier not in measured
        and suitability(deployment, view.results.session.machine, view.tier, view.registry).meant
    ]


def evidence(view: SessionView) -> tuple[Inline, ...]:
    """The footnote: the sentence on the whole, and where the numbers are from."""
    session = view.results.session
    return (
        inline(sentence(view.table)),
        inline(
            f"Unless it says otherwise, a number is of session {session.identifier} of "
            f"{session.started} on {describe(session.machine)}, Python "
            f"{session.environment.python}; the median of several shows its spread when the "
            "pointer is over it, and ",
            Span("qualify explain DEPLOYMENT METRIC", "code"),
            " prints its trials. No figure was typed in.",
        ),
    )
