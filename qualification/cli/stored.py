"""Options that choose a stored session, and that session: the named one, or the newest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qualification.core.paths import results_url

if TYPE_CHECKING:
    from qualification.core.results import Results

_Command = TypeVar("_Command", bound=Callable[..., Any])


def session_options(command: _Command) -> _Command:
    """Add ``--session``, ``--any-machine`` and ``--results`` to a command."""
    for option in (
        click.option(
            "--results",
            default="",
            metavar="URL",
            help="Results database (default: QUALIFY_RESULTS, else reports/results.sqlite).",
        ),
        click.option(
            "--any-machine",
            is_flag=True,
            help="Take the newest session of all machines in the database.",
        ),
        click.option(
            "--session",
            default="",
            metavar="ID",
            help="Session to take (default: the newest of this machine).",
        ),
    ):
        command = option(command)
    return command


def stored_results(url: str, session: str, *, any_machine: bool) -> Results:
    """A stored session: the named one, or the newest of this machine, or of all."""
    from qualification.machine.probe import probe
    from qualification.models.loading import load_registry
    from qualification.results.store import Store

    store = Store(url or results_url())
    if not session:
        registry = load_registry()
        machine = "" if any_machine else probe(registry.chips, registry.tiers).identifier
        session = store.latest(machine)
    return store.results(session)
