"""A stored session as its documents see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.declarations import Deployment, Tier
from qualification.core.results import Results
from qualification.documents.context import Context
from qualification.documents.figures import Figures
from qualification.documents.first_screen import picks
from qualification.documents.model import Inline, Origin, Paragraph, inline
from qualification.documents.published.claimed import PublishedClaim, claims_about
from qualification.documents.sections.changes import Changes, changes
from qualification.documents.sections.machine import subject
from qualification.judging.library_versions import engine_of, principal_libraries
from qualification.judging.recommendation import Recommendation
from qualification.machine.names import describe
from qualification.machine.tiers import tier_of
from qualification.models.published_claims import contradictions
from qualification.models.registry import Registry
from qualification.results.rows import Row, rows


@dataclass(frozen=True)
class SessionView:
    """``table``: a row for each deployment; ``changes``: since the last session and report."""

    results: Results
    registry: Registry
    table: tuple[Row, ...]
    tier: Tier | None
    figures: Figures
    changes: tuple[Changes, ...]
    reported: str
    claims: Sequence[PublishedClaim]
    tested: Mapping[str, str]
    choice: Recommendation

    @property
    def said_once(self) -> Origin | Literal[""]:
        """The origin of all its figures, where the note says it of all of them."""
        if self.is_of_canaries:
            return "canary"
        is_random = bool(self.table) and all(row.is_synthetic for row in self.table)
        return "synthetic" if is_random else ""

    @property
    def notes(self) -> tuple[Paragraph, ...]:
        """What canaries and random weights cannot show, said once, above the figures."""
        texts = []
        if any(row.is_canary for row in self.table):
            beginning = "Every deployment below" if self.is_of_canaries else "A name with -canary"
            texts.append(
                f"{beginning} is a canary: a tiny trained model of a real architecture. It shows "
                "whether this machine's software works. Its speed and memory say nothing about "
                "the real model's."
            )
        if any(row.is_synthetic for row in self.table):
            texts.append(
                "A name with -synthetic stands for random weights at the real model's shape: its "
                "load time, speed and memory were measured, what it can do was not."
            )
        return tuple(Paragraph(inline(text), is_note=True) for text in texts)

    @property
    def subject(self) -> Inline:
        """The line under a title: machine, day, libraries."""
        engines = dict.fromkeys(engine_of(row.identifier) for row in self.table)
        libraries = [name for engine in engines for name in principal_libraries(engine)]
        title = self.tier.title if self.tier else ""
        drifted = [bool(row.drift) for row in self.table if row.decode_tps]
        return subject(self.results.session, title, libraries, drifted)

    @property
    def is_of_canaries(self) -> bool:
        """Whether no model was measured, only whether the software works."""
        return bool(self.table) and all(row.is_canary for row in self.table)

    @property
    def measured(self) -> tuple[Deployment, ...]:
        """The deployments of the table that are still declared."""
        declared = {
            deployment.identifier: deployment
            for registry in (self.registry, self.registry.with_weights("synthetic"))
            for deployment in registry.deployments()
        }
        return tuple(declared[row.identifier] for row in self.table if row.identifier in declared)


def session_view(results: Results, registry: Registry, context: Context) -> SessionView:
    """Everything that is derived of a session before a word is written."""
    table = rows(results, registry)
    session = results.session
    models = [row.identifier for row in table if row.is_declared and not row.is_canary]
    return SessionView(
        results,
        registry,
        table,
        tier_of(session.machine, registry.tiers),
        Figures(f"session {session.identifier}, {describe(session.machine)}"),
        tuple(_changes(results, table, registry, context)),
        context.reported.session.identifier if context.reported else "",
        claims_about(models, context.published, contradictions(context.published, registry))
        if models
        else (),
        context.tested,
        picks(results, table, registry, context.installed),
    )


def _changes(
    results: Results, table: Sequence[Row], registry: Registry, context: Context
) -> Iterator[Changes]:
    """Since the last session, and since the last report where that was of another one."""
    then: dict[str, tuple[Results, str]] = {}
    if context.earlier:
        then[context.earlier.session.identifier] = (context.earlier, "the last session")
    if context.reported:
        identifier = context.reported.session.identifier
        name = "the last session and the last report" if identifier in then else "the last report"
        then[identifier] = (context.reported, name)
    for earlier, name in then.values():
        yield changes(earlier, results, rows(earlier, registry), table, name)
