"""``qualify baseline``: list, show stale ones, compare two, expire, and check suspects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, in_project, session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project
from qualification.core.text import disarm

if TYPE_CHECKING:
    from qualification.judging.baselines.staleness import Reason, StoredBaseline

_Command = TypeVar("_Command", bound=Callable[..., Any])

_folder: Callable[[_Command], _Command] = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of baselines (default: baselines of the project).",
)
_days: Callable[[_Command], _Command] = click.option(
    "--days",
    type=click.IntRange(1, 10_000),
    default=90,
    show_default=True,
    help="A baseline whose newest session is older is stale.",
)
_as_json: Callable[[_Command], _Command] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON."
)


@click.group()
def baseline() -> None:
    """List, compare and expire baselines.

    "qualify accept" adds a session to them.
    """


@baseline.command("list")
@_folder
@_days
@_as_json
@in_project
@one_sentence
def list_baselines(*, folder: Path | None, days: int, as_json: bool, project: Project) -> None:
    """Show each baseline and whether it is stale.

    With the numbers of its sessions, machines and environments.
    """
    from rich.console import Console

    from qualification.cli.tables import baselines as tables

    surveyed = _surveyed(project, folder, days)
    if as_json:
        rows = [tables.as_json(baseline, reasons) for baseline, reasons in surveyed]
        click.echo(json.dumps(rows, indent=2))
        return
    if any(baseline.baseline for baseline, _ in surveyed):
        Console().print(tables.table(surveyed))
    _report_unreadable([baseline for baseline, _ in surveyed])
    click.echo(tables.total(surveyed))


@baseline.command()
@_folder
@_days
@click.option("--strict", is_flag=True, help="Exit with code 1 if any baseline is stale.")
@_as_json
@in_project
@one_sentence
def stale(*, folder: Path | None, days: int, strict: bool, as_json: bool, project: Project) -> None:
    """List stale baselines and why they are stale; nothing is removed."""
    from qualification.cli.tables import baselines as tables

    surveyed = _surveyed(project, folder, days)
    old = [(baseline, reasons) for baseline, reasons in surveyed if reasons]
    if as_json:
        rows = [tables.as_json(baseline, reasons) for baseline, reasons in old]
        click.echo(json.dumps(rows, indent=2))
    else:
        for baseline, reasons in old:
            if baseline.baseline is not None:
                clauses = "; ".join(reason.clause for reason in reasons)
                click.echo(disarm(f"{baseline.path}: {clauses}"))
        _report_unreadable([baseline for baseline, _ in surveyed])
        click.echo(tables.total(surveyed))
    if strict and old:
        sys.exit(1)


@baseline.command()
@click.argument("a")
@click.argument("b")
@_folder
@click.option(
    "--tier", default="", help="The tier, if a deployment has baselines on several tiers."
)
@click.option("--any-machine", is_flag=True, help="Compare figures of different machines too.")
@_as_json
@in_project
@one_sentence
def compare(
    *,
    a: str,
    b: str,
    folder: Path | None,
    tier: str,
    any_machine: bool,
    as_json: bool,
    project: Project,
) -> None:
    """Compare two baselines, metric by metric.

    A factor over 1 means that B is worse than A. A and B are each a deployment, TIER/DEPLOYMENT, a
    file, or DEPLOYMENT:SESSION; or both are a folder of baselines, such as those of two
    checkouts.
    """
    from rich.console import Console

    from qualification.cli.tables import baselines as tables
    from qualification.judging.baselines.operands import operand_pairs

    operands = operand_pairs(a, b, folder or project.baselines, tier)
    for line in operands.unpaired:
        click.echo(disarm(line), err=True)
    if as_json:
        rows = [
            tables.comparison_as_json(*pair, any_machine=any_machine) for pair in operands.pairs
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    for pair in operands.pairs:
        for part in tables.comparison(*pair, any_machine=any_machine):
            Console().print(part)


@baseline.command()
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...", shell_complete=declared_names)
@_folder
@click.option("--tier", "tiers", multiple=True, help="Only baselines of this tier.")
@click.option(
    "--environment",
    "environments",
    multiple=True,
    metavar="REQUIREMENT",
    help="Sessions with these versions: 'mlx-vlm<0.6'.",
)
@click.option("--session", "sessions", multiple=True, metavar="ID", help="This session.")
@click.option(
    "--machine", "machines", multiple=True, metavar="ID", help="Sessions of this machine."
)
@click.option(
    "--before", default="", metavar="DATE", help="Sessions that started before DATE (UTC)."
)
@click.option("--yes", is_flag=True, help="Remove them; without it nothing is changed.")
@in_project
@one_sentence
def expire(*, folder: Path | None, yes: bool, project: Project, **terms: Any) -> None:
    """Remove accepted sessions from baselines.

    Without DEPLOYMENT, from those of every deployment. A session is removed if it matches every
    option that is given; of an option that is given more than once, one match is enough.
    """
    from qualification.judging.baselines.expiry import expiring, expiry_terms
    from qualification.judging.baselines.staleness import read_all
    from qualification.judging.baselines.storage import remove_sessions

    baselines = read_all(folder or project.baselines)
    expiries = expiring(baselines, expiry_terms(**terms))
    for expiry in expiries:
        if yes:
            remove_sessions(expiry.path, [session.identifier for session in expiry.sessions])
        remaining = str(expiry.remaining or "none")
        note = "" if expiry.remaining else ", so the file is removed too"
        click.echo(disarm(f"{expiry.path}: {remaining} left{note}"))
        for session in expiry.sessions:
            click.echo(disarm(f"  {session.identifier} of machine {session.machine.identifier}"))
    _report_unreadable(baselines)
    count = sum(len(expiry.sessions) for expiry in expiries)
    noun = f"{count} session{'' if count == 1 else 's'}"
    if yes:
        click.echo(f"{noun} removed. Git has what was committed: git log -- baselines")
    else:
        click.echo(
            f"{noun} would be removed; nothing was changed: add --yes. Git keeps committed files."
        )


@baseline.command()
@session_options
@_folder
@click.option("--run", "start", is_flag=True, help="Run the gates, one after the other.")
@one_sentence
def suspects(
    *,
    session: str,
    any_machine: bool,
    results: str,
    folder: Path | None,
    start: bool,
    project: Project,
) -> None:
    """Print the gate that checks each suspect of a session.

    A suspect is a metric that is worse than its baseline. The gate compares the environment in use
    with that of the baseline.
    """
    import shlex

    from qualification.upgrade import suspects as suspicion

    registry = declared(project)
    stored = stored_results(
        project, registry, results=results, session=session, any_machine=any_machine
    )
    suspected = suspicion.suspects(
        stored.verdicts,
        folder or project.baselines,
        stored.session,
        registry,
        load_reports=stored.load_reports,
    )
    if not suspected:
        click.echo(f"session {stored.session.identifier} has no suspect")
        return
    orders = []
    for suspect in suspected:
        subject = f"{suspect.deployment}: {', '.join(suspect.metrics)}"
        if suspect.problem or suspect.environment is None:
            click.echo(disarm(f"# {subject}: {suspect.problem}"))
            continue
        orders.append(suspicion.gate_command(suspect, project.declarations))
        click.echo(disarm(f"# {subject}; accepted with {suspect.differs}"))
        if suspect.gated != suspect.deployment:
            click.echo(disarm(f"# a server is gated by its engine: {suspect.gated}"))
        if series := suspect.environment.python:
            click.echo(disarm(f"# Python {series} is not part of this gate"))
        click.echo(disarm(shlex.join(orders[-1])))
    if start and orders:
        sys.exit(suspicion.run_gates(orders))


def _surveyed(
    project: Project, folder: Path | None, days: int
) -> list[tuple[StoredBaseline, tuple[Reason, ...]]]:
    import datetime

    from qualification.judging.baselines.staleness import read_all
    from qualification.judging.baselines.staleness import stale as why_stale

    registry = declared(project)
    random = registry.with_weights("synthetic")
    deployments = (*registry.deployments(), *random.deployments())
    engines = {deployment.identifier: deployment.source.engine for deployment in deployments}
    versions = _versions_in_use(project)
    now = datetime.datetime.now(datetime.UTC)
    return [
        (
            baseline,
            why_stale(
                baseline,
                engines=engines,
                tiers={tier.name for tier in registry.tiers},
                versions=versions,
                now=now,
                days=days,
            ),
        )
        for baseline in read_all(folder or project.baselines)
    ]


def _versions_in_use(project: Project) -> Mapping[str, str]:
    """The versions in this interpreter; of a library that is not installed, ``current``'s pin."""
    from qualification.core.errors import QualificationError
    from qualification.core.libraries import library_versions
    from qualification.upgrade.environments.spec import environment_spec, pinned

    try:
        declared = pinned(environment_spec("current", project.declarations))
    except QualificationError:  # not installed as a distribution: then there are no pins to read
        declared = {}
    installed = {name: version for name, version in library_versions().items() if version}
    return {**declared, **installed}


def _report_unreadable(baselines: Sequence[StoredBaseline]) -> None:
    for baseline in baselines:
        if baseline.baseline is None:
            click.echo(disarm(f"unreadable: {baseline.problem}"), err=True)
