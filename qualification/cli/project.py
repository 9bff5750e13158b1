"""``qualify project``: project measured decoding speeds to another tier."""

from __future__ import annotations

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project


@click.command("project")
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...", shell_complete=declared_names)
@click.option(
    "--to", "tiers", multiple=True, required=True, metavar="TIER", help="The tier to project to."
)
@session_options
@one_sentence
def project_speeds(
    *,
    deployments: tuple[str, ...],
    tiers: tuple[str, ...],
    session: str,
    any_machine: bool,
    results: str,
    project: Project,
) -> None:
    """Project measured decoding speeds to another tier.

    A projection never exceeds the tier's roofline. Without DEPLOYMENT, every deployment of the
    session is projected.
    """
    from qualification.models import projection

    registry = declared(project)
    stored = stored_results(
        project, registry, results=results, session=session, any_machine=any_machine
    )
    for name in deployments or [verdict.deployment for verdict in stored.verdicts]:
        speeds = [
            trial.value
            for trial in stored.trials
            if (trial.deployment, trial.metric) == (name, "decode_tps")
        ]
        deployment, load = registry.deployment(name), stored.load_reports.get(name)
        for tier in tiers:
            projected = projection.project(
                deployment,
                speeds,
                stored.session.machine,
                registry.tier(tier),
                registry,
                load.decode_bytes if load else 0,
            )
            click.echo(projected.sentence)
