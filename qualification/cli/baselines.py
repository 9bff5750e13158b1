"""``qualify baseline``: list, show stale ones, compare two, expire, and what a suspect starts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qualification.cli.errors import one_sentence
from qualification.cli.stored import session_options, stored_results
from qualification.core.paths import home
from qualification.core.text import disarm

if TYPE_CHECKING:
    from qualification.judging.baselines.staleness import Kept, Reason

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
    help="Older than that is stale.",
)


@click.group()
def baseline() -> None:
    """Baselines: what there is, what is stale, two of them compared, what expires.

    Accepting a session is: qualify accept
    """


@baseline.command("list")
@_folder
@_days
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@one_sentence
def list_baselines(folder: Path | None, days: int, as_json: bool) -> None:
    """Show each baseline: sessions, machines, environments, the newest, and whether it is stale."""
    from rich.console import Console

    from qualification.cli import baseline_tables as screen

    found = _surveyed(folder, days)
    if as_json:
        click.echo(json.dumps([screen.as_json(one, why) for one, why in found], indent=2))
        return
    if any(one.baseline for one, _ in found):
        Console().print(screen.table(found))
    _say_unreadable([one for one, _ in found])
    click.echo(screen.total(found))


@baseline.command()
@_folder
@_days
@click.option("--strict", is_flag=True, help="Exit 1 where any is stale.")
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@one_sentence
def stale(folder: Path | None, days: int, strict: bool, as_json: bool) -> None:
    """List baselines that no longer serve, and why; nothing is removed."""
    from qualification.cli import baseline_tables as screen

    found = _surveyed(folder, days)
    old = [(one, why) for one, why in found if why]
    if as_json:
        click.echo(json.dumps([screen.as_json(one, why) for one, why in old], indent=2))
    else:
        for one, why in old:
            if one.baseline is not None:
                click.echo(disarm(f"{one.path}: {'; '.join(reason.clause for reason in why)}"))
        _say_unreadable([one for one, _ in found])
        click.echo(screen.total(found))
    if strict and old:
        sys.exit(1)


@baseline.command()
@click.argument("a")
@click.argument("b")
@_folder
@click.option("--tier", default="", help="Where a deployment has baselines on several tiers.")
@click.option("--any-machine", is_flag=True, help="Also figures of different machines.")
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@one_sentence
def compare(
    a: str, b: str, folder: Path | None, tier: str, any_machine: bool, as_json: bool
) -> None:
    """Hold B against A, metric by metric; a factor over 1 is worse.

    A and B are each a deployment, TIER/DEPLOYMENT, a file, DEPLOYMENT:SESSION, or both a folder of
    baselines, such as those of two checkouts.
    """
    from rich.console import Console

    from qualification.cli import baseline_tables as screen
    from qualification.judging.baselines.operands import pairs

    found = pairs(a, b, folder or home() / "baselines", tier)
    for line in found.alone:
        click.echo(disarm(line), err=True)
    if as_json:
        rows = [screen.comparison_as_json(*pair, any_machine) for pair in found.pairs]
        click.echo(json.dumps(rows, indent=2))
        return
    for one, other in found.pairs:
        for part in screen.comparison(one, other, any_machine):
            Console().print(part)


@baseline.command()
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...")
@_folder
@click.option("--tier", "tiers", multiple=True, help="Only of this tier.")
@click.option("--environment", "environments", multiple=True, help="For example 'mlx-vlm<0.6'.")
@click.option("--session", "sessions", multiple=True, help="A session's identifier.")
@click.option("--machine", "machines", multiple=True, help="A machine's identifier.")
@click.option("--before", default="", metavar="DATE", help="Started before it (UTC).")
@click.option("--yes", is_flag=True, help="Do it; without it nothing is changed.")
@one_sentence
def expire(
    deployments: tuple[str, ...],
    folder: Path | None,
    tiers: tuple[str, ...],
    environments: tuple[str, ...],
    sessions: tuple[str, ...],
    machines: tuple[str, ...],
    before: str,
    yes: bool,
) -> None:
    """Remove accepted sessions from baselines, of DEPLOYMENTS or of all.

    A session goes that meets every kind of option given; of one option given twice, either.
    """
    from qualification.judging.baselines.expiry import expiring, terms
    from qualification.judging.baselines.staleness import read_all
    from qualification.judging.baselines.storage import remove_sessions

    wanted = terms(
        environments=environments,
        sessions=sessions,
        machines=machines,
        before=before,
        deployments=deployments,
        tiers=tiers,
    )
    kept = read_all(folder or home() / "baselines")
    found = expiring(kept, wanted)
    for one in found:
        if yes:
            remove_sessions(one.path, [session.identifier for session in one.sessions])
        end = f"{one.left} left" if one.left else "none left, so the file goes too"
        click.echo(disarm(f"{one.path}: {end}"))
        for session in one.sessions:
            click.echo(disarm(f"  {session.identifier} of machine {session.machine.identifier}"))
    _say_unreadable(kept)
    count = sum(len(one.sessions) for one in found)
    noun = f"{count} session{'' if count == 1 else 's'}"
    if yes:
        click.echo(f"{noun} removed. Git has what was committed: git log -- baselines")
    else:
        click.echo(f"{noun} would go; nothing was changed: add --yes. Git keeps what is committed.")


@baseline.command()
@session_options
@_folder
@click.option("--declarations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--run", "start", is_flag=True, help="Start the gates, one after the other.")
@one_sentence
def suspects(
    session: str,
    any_machine: bool,
    results: str,
    folder: Path | None,
    declarations: Path | None,
    start: bool,
) -> None:
    """Print the gate that each suspect of a session asks for: its old environment against this."""
    import shlex

    from qualification.models.loading import load_registry
    from qualification.upgrade import suspects as suspicion

    stored = stored_results(results, session, any_machine)
    found = suspicion.suspects(
        stored.verdicts,
        folder or home() / "baselines",
        stored.session,
        load_registry(declarations),
    )
    if not found:
        click.echo(f"session {stored.session.identifier} has no suspect")
        return
    orders = []
    for one in found:
        what = f"{one.deployment}: {', '.join(one.metrics)}"
        if one.problem or one.environment is None:
            click.echo(disarm(f"# {what}: {one.problem}"))
            continue
        orders.append(suspicion.order(one, declarations))
        click.echo(disarm(f"# {what}; accepted with {one.differs}"))
        if series := one.environment.python:
            click.echo(disarm(f"# Python {series} is not part of this gate"))
        click.echo(disarm(shlex.join(orders[-1])))
    if start and orders:
        sys.exit(suspicion.start(orders))


def _surveyed(folder: Path | None, days: int) -> list[tuple[Kept, tuple[Reason, ...]]]:
    import datetime

    from qualification.judging.baselines.staleness import read_all
    from qualification.judging.baselines.staleness import stale as why_stale
    from qualification.models.loading import load_registry

    registry = load_registry()
    random = registry.with_weights("synthetic")
    declared = {one.identifier for one in (*registry.deployments(), *random.deployments())}
    versions = _versions_in_use()
    now = datetime.datetime.now(datetime.timezone.utc)
    return [
        (
            one,
            why_stale(
                one,
                deployments=declared,
                tiers={tier.name for tier in registry.tiers},
                versions=versions,
                now=now,
                days=days,
            ),
        )
        for one in read_all(folder or home() / "baselines")
    ]


def _versions_in_use() -> Mapping[str, str]:
    """What this interpreter has; for a library that it has not, what ``current`` pins."""
    from qualification.core.errors import QualificationError
    from qualification.core.libraries import library_versions
    from qualification.upgrade.environments.spec import environment_spec, pinned

    try:
        declared = pinned(environment_spec("current"))
    except QualificationError:  # not installed as a distribution: then there are no pins to read
        declared = {}
    installed = {name: version for name, version in library_versions().items() if version}
    return {**declared, **installed}


def _say_unreadable(kept: Sequence[Kept]) -> None:
    for one in kept:
        if one.baseline is None:
            click.echo(disarm(f"unreadable: {one.problem}"), err=True)
