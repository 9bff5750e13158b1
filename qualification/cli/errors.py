"""How a command of ``qualify`` reports an error: one sentence and exit code 2.

Codes 0, 1 and 3 are verdicts of some commands, so nothing else ends with them.
"""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

from qualification import __version__
from qualification.core.errors import QualificationError
from qualification.core.text import without_secrets

_Options = ParamSpec("_Options")
_Result = TypeVar("_Result")


def one_sentence(command: Callable[_Options, _Result]) -> Callable[_Options, _Result]:
    """Report an error of ours or of the file system as one sentence with exit code 2."""

    @wraps(command)
    def wrapped(*args: _Options.args, **kwargs: _Options.kwargs) -> _Result:
        try:
            return command(*args, **kwargs)
        except (QualificationError, OSError) as error:
            click.echo(f"qualify: {without_secrets(str(error))}", err=True)
            sys.exit(2)

    return wrapped


class Commands(click.Group):
    """The commands: a defect of ours and an interruption end none of them with a verdict's code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an unexpected exception ends it with code 2, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            click.echo("Aborted!", err=True)
            sys.exit(128 + signal.SIGINT)
        except Exception:
            click.echo(without_secrets(traceback.format_exc()), err=True)
            click.echo(
                f"qualify: this is a defect of qualification {__version__}, not a verdict; report "
                "the lines above to its issue tracker, with the output of: qualify doctor",
                err=True,
            )
            sys.exit(2)
