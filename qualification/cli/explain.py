"""``qualify explain``: from the stored raw trials to a figure of the documents."""

from __future__ import annotations

import json
import shlex

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project


def _deployment_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    return [name for name in declared_names(context, parameter, incomplete) if "@" in name]


def _metric_names(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    from qualification.core.metrics import METRICS

    return [name for name in METRICS if name.startswith(incomplete)]


@click.command()
@click.argument("deployment", shell_complete=_deployment_names)
@click.argument("metric", required=False, shell_complete=_metric_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@session_options
@one_sentence
def explain(
    *,
    deployment: str,
    metric: str | None,
    as_json: bool,
    session: str,
    any_machine: bool,
    results: str,
    project: Project,
) -> None:
    """Show the raw trials behind a figure, and how it follows from them.

    METRIC is a name such as decode_tps. Without it, all metrics of DEPLOYMENT in the session, and
    why the others have no figure.
    """
    from qualification.core.protocol import to_json
    from qualification.documents.explain.lines import deployment_lines, metric_lines
    from qualification.documents.explain.stored_deployment import StoredDeployment

    registry = declared(project)
    stored = stored_results(
        project, registry, results=results, session=session, any_machine=any_machine
    )
    options = _repeated(session, any_machine, results)
    of_deployment = StoredDeployment(stored, registry, deployment, options)
    if metric:
        of_metric = of_deployment.metric(metric)
        record, lines = to_json(of_metric), metric_lines(of_metric)
    else:
        of_all = of_deployment.all_metrics()
        record, lines = to_json(of_all), deployment_lines(of_all)
    click.echo(json.dumps(record, indent=2, allow_nan=False) if as_json else "\n".join(lines))


def _repeated(session: str, any_machine: bool, results: str) -> str:
    """The options of a session as the next commands repeat them; no address, which has a login."""
    words = f" --session {shlex.quote(session)}" if session else ""
    words += " --any-machine" if any_machine else ""
    return words + (
        f" --results {shlex.quote(results)}" if results and "://" not in results else ""
    )
