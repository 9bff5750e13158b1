"""The declarations and a stored session of a project, as the commands read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.core.results import Results
    from qualification.models.registry import Registry


def declared(project: Project) -> Registry:
    """The registry of a project; what the user's declarations replace is said on stderr."""
    from qualification.models.loading import load_registry

    registry = load_registry(project.declarations)
    for note in registry.notes:
        click.echo(note, err=True)
    return registry


def stored_results(
    project: Project, registry: Registry, *, results: str, session: str, any_machine: bool
) -> Results:
    """A stored session: the named one, or the newest of this machine, or of all."""
    from qualification.machine.probe import probe
    from qualification.results.store import Store

    store = Store(project.with_options(results=results).results)
    if not session:
        machine = "" if any_machine else probe(registry.chips, registry.tiers).identifier
        session = store.latest(machine)
    return store.results(session)
