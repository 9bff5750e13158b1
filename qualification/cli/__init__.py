"""The ``qualify`` command: one module for each of its commands.

pytest runs the tests; this room shows, renders, compares and accepts. May import every room except
``pytest_plugin``, ``suites`` and ``backends``. Start here: the list of commands.
"""

from __future__ import annotations

import click

from qualification.cli.accept import accept
from qualification.cli.baselines import baseline
from qualification.cli.bisect import bisect
from qualification.cli.doctor import doctor
from qualification.cli.environments import environments
from qualification.cli.errors import Commands
from qualification.cli.explain import explain
from qualification.cli.footprint import footprint
from qualification.cli.gate import gate
from qualification.cli.map import map_releases
from qualification.cli.models import models
from qualification.cli.project import project_speeds
from qualification.cli.published import lint_published
from qualification.cli.replay import replay
from qualification.cli.report import report
from qualification.cli.see import see
from qualification.cli.sessions import sessions
from qualification.cli.synthetic import synthetic
from qualification.cli.watch import watch


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qualification")
def main() -> None:
    """Qualify a machine, or a new release of its libraries, for vision-language models.

    \b
    pytest -m canary      does the software work here? (a few minutes, nothing to download)
    pytest -m here        qualify this machine with the models of its tier
    qualify models        what lies on this disk, what of it fits, and how to try it
    qualify see MODEL     does it see? a verdict in one sentence, in seconds to two minutes
    qualify report        render the results
    qualify explain NAME  the raw trials behind a figure, and how it follows from them
    qualify sessions      what is stored, and what was interrupted and can be resumed
    qualify gate          may we move to another release of the libraries?
    qualify map PACKAGE   which release of a library sees with which model?
    qualify watch         soak test: minutes to days on one deployment or server
    """  # noqa: D301 - click reads the escape


for _command in (
    accept,
    baseline,
    bisect,
    doctor,
    environments,
    explain,
    footprint,
    gate,
    lint_published,
    map_releases,
    models,
    project_speeds,
    replay,
    report,
    see,
    sessions,
    synthetic,
    watch,
):
    main.add_command(_command)
