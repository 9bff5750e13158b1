"""``qualify doctor``: this machine, its tier, its libraries and which backends are ready."""

from __future__ import annotations

import importlib
import json

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.project import Project

_TABLES = ("qualification.core.metrics", "qualification.models.families.table")
"""Modules that read extensions, beside those that the report uses itself."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@in_project
@one_sentence
def doctor(*, as_json: bool, project: Project) -> None:
    """Show this machine and which backends are ready.

    With its tier, its libraries, and the conditions that make measurements unfit now.
    """
    from qualification.cli.doctor_report import doctor_report, render_doctor
    from qualification.machine.conditions import preconditions
    from qualification.machine.probe import environment, probe
    from qualification.machine.readiness import backend_readiness
    from qualification.servers.programs import server_readiness

    for table in _TABLES:
        importlib.import_module(table)
    registry = declared(project)
    report = doctor_report(
        probe(registry.chips, registry.tiers),
        environment(),
        preconditions(),
        backend_readiness(),
        registry.tiers,
        server_readiness(),
    )
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        from rich.console import Console

        Console().print(render_doctor(report))
