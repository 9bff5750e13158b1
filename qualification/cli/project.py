"""``qualify project``: carry measured decoding speeds to another tier."""

from __future__ import annotations

import click

from qualification.cli.errors import one_sentence
from qualification.cli.stored import stored_results


@click.command()
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...")
@click.option("--to", "tiers", multiple=True, required=True, help="The tier to project to.")
@click.option("--session", default="", help="Session to take (default: this machine's newest).")
@click.option("--any-machine", is_flag=True, help="The newest of all machines in the database.")
@click.option("--results", default="", metavar="URL", help="Results database.")
@one_sentence
def project(
    deployments: tuple[str, ...],
    tiers: tuple[str, ...],
    session: str,
    any_machine: bool,
    results: str,
) -> None:
    """Carry measured decoding speeds to another tier, capped by its roofline."""
    from qualification.models.loading import load_registry
    from qualification.models.projection import project as carry

    registry = load_registry()
    found = stored_results(results, session, any_machine)
    names = deployments or tuple(verdict.deployment for verdict in found.verdicts)
    for name in names:
        speeds = [t.value for t in found.trials if (t.deployment, t.metric) == (name, "decode_tps")]
        for tier in tiers:
            one = registry.deployment(name)
            carried = carry(one, speeds, found.session.machine, registry.tier(tier), registry)
            click.echo(carried.sentence)
