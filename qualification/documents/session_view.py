"""A stored session as its documents see it: derived once, used by each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qualification.core.declarations import Deployment, Tier
from qualification.core.results import Results
from qualification.documents.context import Context
from qualification.documents.figures import Figures
from qualification.documents.model import Inline
from qualification.documents.published.claimed import PublishedClaim, claims_about
from qualification.documents.sections.changes import Changes, changes
from qualification.documents.sections.machine import subject
from qualification.judging.library_versions import engine_of, principal_libraries
from qualification.machine.names import describe
from qualification.machine.tiers import tier_of
from qualification.models.published_claims import contradictions
from qualification.models.registry import Registry
from qualification.results.rows import Row, rows


@dataclass(frozen=True)
class SessionView:
    """``table`` has a row for each deployment; ``changes`` is None where nothing came before."""

    results: Results
    registry: Registry
    table: tuple[Row, ...]
    tier: Tier | None
    figures: Figures
    changes: Changes | None
    claims: Sequence[PublishedClaim]
    tested: Mapping[str, str]
    installed: Mapping[str, str]

    @property
    def subject(self) -> Inline:
        """The line under a title: machine, day, libraries."""
        engines = dict.fromkeys(engine_of(row.identifier) for row in self.table)
        libraries = [name for engine in engines for name in principal_libraries(engine)]
        return subject(self.results.session, self.tier.title if self.tier else "", libraries)

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
    models = [row.identifier for row in table if not row.is_canary]
    earlier = context.earlier
    return SessionView(
        results,
        registry,
        table,
        tier_of(session.machine, registry.tiers),
        Figures(f"session {session.identifier}, {describe(session.machine)}"),
        changes(earlier, results, rows(earlier, registry), table) if earlier else None,
        claims_about(models, context.published, contradictions(context.published, registry))
        if models
        else (),
        context.tested,
        context.installed,
    )
