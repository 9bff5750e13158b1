"""A stored session by the options that commands share: the one named, or the newest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from qualification.core.paths import results_url
from qualification.core.results import Results

_Command = TypeVar("_Command", bound=Callable[..., Any])


def session_options(command: _Command) -> _Command:
    """Add ``--session``, ``--any-machine`` and ``--results`` to a command."""
    for option in (
        click.option("--results", default="", metavar="URL", help="Results database."),
        click.option(
            "--any-machine", is_flag=True, help="The newest of all machines in the database."
        ),
        click.option("--session", default="", help="A session (default: this machine's newest)."),
    ):
        command = option(command)
    return command


def stored_results(url: str, session: str, any_machine: bool) -> Results:
    """A stored session: the one named, or the newest of this machine, or of all."""
    from qualification.machine.probe import probe
    from qualification.models.loading import load_registry
    from qualification.results.store import Store

    store = Store(url or results_url())
    if not session:
        registry = load_registry()
        here = "" if any_machine else probe(registry.chips, registry.tiers).identifier
        session = store.latest(here)
    return store.results(session)
