"""``qualify accept``: keep a session's trials as baselines."""

from __future__ import annotations

import click

from qualification.cli.errors import one_sentence
from qualification.cli.stored import stored_results
from qualification.core.paths import home


@click.command()
@click.argument("deployments", nargs=-1)
@click.option("--session", default="", help="Session to accept (default: this machine's newest).")
@click.option("--any-machine", is_flag=True, help="The newest of all machines in the database.")
@click.option("--results", default="", metavar="URL", help="Results database.")
@one_sentence
def accept(deployments: tuple[str, ...], session: str, any_machine: bool, results: str) -> None:
    """Accept a session's trials as baseline, for all its deployments or those named."""
    from qualification.core.errors import SelectionError
    from qualification.judging.baselines.storage import accept as accept_session
    from qualification.models.loading import load_registry
    from qualification.results.rows import rejected

    registry = load_registry()
    found = stored_results(results, session, any_machine)
    present = [verdict.deployment for verdict in found.verdicts]
    unknown = [name for name in deployments if name not in present]
    if unknown:
        raise SelectionError(
            f"{', '.join(unknown)} did not run in session {found.session.identifier}; "
            f"it has: {', '.join(present) or 'nothing'}"
        )
    if not found.session.machine.tier:
        raise SelectionError("this session's machine matches no tier, so it has no baselines")
    for verdict in found.verdicts:
        if deployments and verdict.deployment not in deployments:
            continue
        if verdict.name in ("failed", "unfit", "does_not_fit"):
            click.echo(f"left out: {verdict.deployment} ({verdict.name})", err=True)
            continue
        trials = [t for t in found.trials if t.deployment == verdict.deployment]
        if wrong := rejected(verdict.deployment, trials, found.session.machine, registry):
            click.echo(f"left out: {verdict.deployment} ({wrong})", err=True)
        elif trials:
            click.echo(accept_session(home() / "baselines", found.session, trials))
