"""``qualify accept``: store a session's trials as baselines."""

from __future__ import annotations

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project


@click.command()
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...")
@session_options
@one_sentence
def accept(
    *,
    deployments: tuple[str, ...],
    session: str,
    any_machine: bool,
    results: str,
    project: Project,
) -> None:
    """Accept a session's trials as a baseline.

    Without DEPLOYMENT, those of every deployment of the session.
    """
    from qualification.core.errors import SelectionError
    from qualification.judging.baselines.completeness import is_complete
    from qualification.judging.baselines.storage import accept as accept_session
    from qualification.results.rows import rejected

    registry = declared(project)
    stored = stored_results(
        project, registry, results=results, session=session, any_machine=any_machine
    )
    present = [verdict.deployment for verdict in stored.verdicts]
    unknown = [name for name in deployments if name not in present]
    if unknown:
        raise SelectionError(
            f"{', '.join(unknown)} did not run in session {stored.session.identifier}; "
            f"it has: {', '.join(present) or 'nothing'}"
        )
    if not stored.session.machine.tier:
        raise SelectionError("this session's machine matches no tier, so it has no baselines")
    for verdict in stored.verdicts:
        if deployments and verdict.deployment not in deployments:
            continue
        if reason := is_complete(stored, verdict.deployment):
            click.echo(f"left out: {verdict.deployment} ({reason})", err=True)
            continue
        if verdict.name in ("failed", "unfit", "does_not_fit"):
            click.echo(f"left out: {verdict.deployment} ({verdict.name})", err=True)
            continue
        trials = [trial for trial in stored.trials if trial.deployment == verdict.deployment]
        if reason := rejected(verdict.deployment, stored, registry):
            click.echo(f"left out: {verdict.deployment} ({reason})", err=True)
        elif trials:
            load = stored.load_reports.get(verdict.deployment)
            revision = load.revision if load else ""
            click.echo(accept_session(project.baselines, stored.session, trials, revision))
