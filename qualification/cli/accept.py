"""``qualify accept``: store a session's trials as baselines."""

from __future__ import annotations

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project

_NO_BASELINE = ("failed", "unfit", "does_not_fit")
"""Verdicts on what is never compared with."""


@click.command()
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...", shell_complete=declared_names)
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

    Without DEPLOYMENT, those of every deployment of the session. What was accepted before stays as
    it is. The exit code is 2 where a baseline cannot be read or written; the others are accepted
    all the same.
    """
    from qualification.core.errors import AlreadyAccepted, BaselineError, SelectionError
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
    problems = []
    for verdict in stored.verdicts:
        name = verdict.deployment
        if deployments and name not in deployments:
            continue
        trials = [trial for trial in stored.trials if trial.deployment == name]
        if reason := (
            is_complete(stored, name)
            or (verdict.name if verdict.name in _NO_BASELINE else "")
            or rejected(name, stored, registry)
            or ("" if trials else "nothing was measured")
        ):
            click.echo(f"left out: {name} ({reason})", err=True)
            continue
        load = stored.load_reports.get(name)
        try:
            revision = load.revision if load else ""
            click.echo(accept_session(project.baselines, stored.session, trials, revision))
        except AlreadyAccepted as error:
            click.echo(f"accepted before: {name} ({error})", err=True)
        except BaselineError as error:
            problems.append(str(error))
    if problems:
        raise BaselineError("; ".join(problems))
