"""Downloads that a command needs: said first, asked for once, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qualification.core.errors import SelectionError
from qualification.core.pace import Paced

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment
    from qualification.session.context import Fetching
    from qualification.session.download_choice import DownloadChoice

_Command = TypeVar("_Command", bound=Callable[..., Any])

may_download: Callable[[_Command], _Command] = click.option(
    "--download", is_flag=True, help="Download weights that are not on this machine."
)
"""Adds ``--download``."""


def chosen(deployments: Iterable[Deployment], *, is_allowed: bool) -> DownloadChoice:
    """What comes and what does not; said on the error stream."""
    from qualification.session.download_choice import choose

    return choose(
        deployments,
        is_allowed=is_allowed,
        ask=_says_yes,
        say=lambda lines: click.echo("\n".join(lines), err=True),
        command=("qualify", *sys.argv[1:]),
    )


def required(deployments: Sequence[Deployment], *, is_allowed: bool) -> Fetching:
    """For a command that needs all of them; SelectionError where one may not come."""
    choice = chosen(deployments, is_allowed=is_allowed)
    for sentence in choice.refusals.values():
        raise SelectionError(sentence)
    return fetching(choice)


def paced() -> Paced:
    """Takes lines on what goes on, and passes one on to the error stream now and then."""
    return Paced(lambda line: click.echo(line, err=True), is_terminal=sys.stderr.isatty())


def fetching(choice: DownloadChoice) -> Fetching:
    """What was chosen, and a line on the error stream now and then."""
    from qualification.session.context import Fetching

    return Fetching(choice.plan, paced())


def _says_yes() -> bool:
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return click.confirm("download them?", default=False, err=True)
    except click.Abort:
        return False
