"""Options that several commands share: the user's declarations, and the choice of a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qualification.core.errors import DeclarationError
from qualification.core.project import Project, find_project

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _project(_context: click.Context, _parameter: click.Parameter, folder: Path | None) -> Project:
    try:
        return find_project().with_options(declarations=folder)
    except DeclarationError as error:
        raise click.UsageError(str(error)) from error


in_project: Callable[[_Command], _Command] = click.option(
    "--declarations",
    "project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=_project,
    metavar="DIR",
    help="Your own declarations, laid over those that ship (default: [tool.qualification] of the "
    "project's pyproject.toml).",
)
"""Adds ``--declarations`` to a command, which takes the project with them as ``project``."""


def declared_names(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """What a shell completes: deployments and models; none where a declaration is wrong."""
    from qualification.models.loading import load_registry

    try:
        registry = load_registry((context.params.get("project") or find_project()).declarations)
    except DeclarationError:
        return []
    if "synthetic" in context.command_path:
        registry = registry.with_weights("synthetic")
    deployments = registry.deployments()
    names = [deployment.identifier for deployment in deployments]
    names += dict.fromkeys(deployment.model.name for deployment in deployments)
    return [name for name in names if name.startswith(incomplete)]


_SESSION_OPTIONS = (
    click.option(
        "--results",
        default="",
        metavar="URL",
        help="Results database, a file or a URL (default: QUALIFY_RESULTS, else the project's).",
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
)


def session_options(command: _Command) -> _Command:
    """Add ``--session``, ``--any-machine`` and ``--results`` to a command in a project."""
    for option in (in_project, *_SESSION_OPTIONS):
        command = option(command)
    return command
