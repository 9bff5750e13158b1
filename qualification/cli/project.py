"""``qualify project``: project measured decoding speeds to another tier."""

from __future__ import annotations

import click

from qualification.cli.errors import one_sentence
from qualification.cli.stored import session_options, stored_results


@click.command()
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...")
@click.option(
    "--to", "tiers", multiple=True, required=True, metavar="TIER", help="The tier to project to."
)
@session_options
@one_sentence
def project(
    *,
    deployments: tuple[str, ...],
    tiers: tuple[str, ...],
    session: str,
    any_machine: bool,
    results: str,
) -> None:
    """Project measured decoding speeds to another tier.

    A projection never exceeds the tier's roofline. Without DEPLOYMENT, every deployment of the
    session is projected.
    """
    from qualification.models import projection
    from qualification.models.loading import load_registry

    registry = load_registry()
    stored = stored_results(results, session, any_machine=any_machine)
    for name in deployments or [verdict.deployment for verdict in stored.verdicts]:
        speeds = [
            trial.value
            for trial in stored.trials
            if (trial.deployment, trial.metric) == (name, "decode_tps")
        ]
        deployment = registry.deployment(name)
        for tier in tiers:
            projected = projection.project(
                deployment, speeds, stored.session.machine, registry.tier(tier), registry
            )
            click.echo(projected.sentence)
