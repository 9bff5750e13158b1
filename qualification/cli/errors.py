"""How a command of ``qualify`` reports an error: one sentence and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from qualification.core.errors import QualificationError

_Options = ParamSpec("_Options")
_Result = TypeVar("_Result")


def one_sentence(command: Callable[_Options, _Result]) -> Callable[_Options, _Result]:
    """Report an error of ours or of the file system as one sentence with exit code 2."""

    @wraps(command)
    def wrapped(*args: _Options.args, **kwargs: _Options.kwargs) -> _Result:
        try:
            return command(*args, **kwargs)
        except (QualificationError, OSError) as error:
            click.echo(f"qualify: {error}", err=True)
            sys.exit(2)

    return wrapped
