"""The subcommands of ``qualify`` that have a module of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from qualification.core.errors import QualificationError

_Command = TypeVar("_Command", bound=Callable[..., Any])


def one_sentence(command: _Command) -> _Command:
    """An error of ours or of the file system is one sentence and exit code 2."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (QualificationError, OSError) as error:
            click.echo(f"qualify: {error}", err=True)
            sys.exit(2)

    return wrapped  # type: ignore[return-value]
