"""``qualify doctor``: this machine, its tier, its libraries and which backends are ready."""

from __future__ import annotations

import json

import click

from qualification.cli.errors import one_sentence


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@one_sentence
def doctor(*, as_json: bool) -> None:
    """Show this machine and which backends are ready.

    With its tier, its libraries, and the conditions that make measurements unfit now.
    """
    from qualification.cli.doctor_report import doctor_report, render_doctor
    from qualification.machine.conditions import preconditions
    from qualification.machine.probe import environment, probe
    from qualification.machine.readiness import backend_readiness
    from qualification.models.loading import load_registry
    from qualification.servers.programs import server_readiness

    registry = load_registry()
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
