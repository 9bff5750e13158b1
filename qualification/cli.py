"""The ``qualify`` command. Running is pytest's work; this shows, renders and accepts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qualification.errors import QualificationError
from qualification.places import home, results_url
from qualification.records import Results

if TYPE_CHECKING:
    from qualification.synthetic.cache import Entry

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _one_sentence(command: _Command) -> _Command:
    """An error of ours or of the file system is one sentence and exit code 2."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (QualificationError, OSError) as error:
            click.echo(f"qualify: {error}", err=True)
            sys.exit(2)

    return wrapped  # type: ignore[return-value]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qualification")
def main() -> None:
    """Qualify a machine, or a new release of its libraries, for vision-language models.

    \b
    pytest -m canary      does the software work here? (a few minutes, nothing to download)
    pytest -m here        qualify this machine with the models of its tier
    qualify report        render what was found
    """  # noqa: D301 - click reads the escape


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@_one_sentence
def doctor(as_json: bool) -> None:
    """Show this machine, its tier, its libraries and which backends are ready."""
    from qualification.doctor import doctor_report, render_doctor
    from qualification.machine import backend_readiness, environment, probe
    from qualification.preconditions import preconditions
    from qualification.registry import load_registry

    registry = load_registry()
    report = doctor_report(
        probe(registry.chips, registry.tiers),
        environment(),
        preconditions(),
        backend_readiness(),
        registry.tiers,
    )
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        from rich.console import Console

        Console().print(render_doctor(report))


@main.command()
@click.option("--session", default="", help="Session to render (default: this machine's newest).")
@click.option("--any-machine", is_flag=True, help="The newest of all machines in the database.")
@click.option("--results", default="", metavar="URL", help="Results database.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to (default: reports/latest).",
)
@_one_sentence
def report(session: str, any_machine: bool, results: str, output: Path | None) -> None:
    """Render recommendations.md and .html from the stored results."""
    from qualification.registry import load_registry
    from qualification.report import render, write

    registry = load_registry()
    documents = render(_results(results, session, any_machine), registry)
    for file in write(documents, output or home() / "reports/latest"):
        click.echo(file)


@main.command()
@click.argument("deployments", nargs=-1)
@click.option("--session", default="", help="Session to accept (default: this machine's newest).")
@click.option("--any-machine", is_flag=True, help="The newest of all machines in the database.")
@click.option("--results", default="", metavar="URL", help="Results database.")
@_one_sentence
def accept(deployments: tuple[str, ...], session: str, any_machine: bool, results: str) -> None:
    """Accept a session's trials as baseline, for all its deployments or those named."""
    from qualification.baseline import accept as accept_session
    from qualification.errors import SelectionError

    found = _results(results, session, any_machine)
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
        if trials:
            click.echo(accept_session(home() / "baselines", found.session, trials))


@main.group()
def synthetic() -> None:
    """Random weights at real size: what is cached, make some, remove some."""


@synthetic.command("list")
@_one_sentence
def synthetic_list() -> None:
    """Show the cache: what is there, how large, and what an older release made."""
    from qualification.places import cache

    found = _cached()
    for entry in found:
        older = "" if entry.current else "  (of another release: remove it)"
        click.echo(f"{entry.bytes / 1e9:8.2f} GB  {entry.deployment}{older}")
    total = sum(entry.bytes for entry in found)
    click.echo(f"{total / 1e9:8.2f} GB  in {cache() / 'synthetic'}")


@synthetic.command("make")
@click.argument("deployments", nargs=-1, required=True)
@click.option("--any-size", is_flag=True, help="Also what does not fit into this machine's memory.")
@_one_sentence
def synthetic_make(deployments: tuple[str, ...], any_size: bool) -> None:
    """Make the weights of DEPLOYMENTS, for example qwen2.5-vl-3b-Q4_K_M-synthetic@llamacpp."""
    from qualification.machine import probe
    from qualification.plan import critical_memory_bytes
    from qualification.registry import load_registry
    from qualification.synthetic.cache import ready

    registry = load_registry().with_weights("synthetic")
    wanted = [registry.deployment(name) for name in deployments]
    machine = probe(registry.chips, registry.tiers)
    tier = registry.tier(machine.tier) if machine.tier else None
    limit = critical_memory_bytes(machine, tier)
    for deployment in wanted:
        unlimited = any_size or not limit
        folder = ready(
            deployment, home() / "fixtures", memory_limit=float("inf") if unlimited else limit
        )
        click.echo(folder)


@synthetic.command("remove")
@click.argument("deployments", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of the cache.")
@_one_sentence
def synthetic_remove(deployments: tuple[str, ...], everything: bool) -> None:
    """Remove DEPLOYMENTS from the cache."""
    from qualification.errors import SelectionError
    from qualification.synthetic.cache import remove

    found = _cached()
    unknown = [name for name in deployments if name not in {one.deployment for one in found}]
    if unknown or not (deployments or everything):
        raise SelectionError(
            f"{', '.join(unknown) or 'nothing'} is to be removed; the cache has: "
            f"{', '.join(one.deployment for one in found) or 'nothing'}"
        )
    for entry in found:
        if everything or entry.deployment in deployments:
            remove(entry)
            click.echo(f"removed {entry.folder}")


def _cached() -> list[Entry]:
    from qualification.registry import load_registry
    from qualification.synthetic.cache import entries

    return entries(load_registry().with_weights("synthetic").deployments())


def _results(url: str, session: str, any_machine: bool) -> Results:
    """A stored session: the one named, or the newest of this machine, or of all."""
    from qualification.machine import probe
    from qualification.registry import load_registry
    from qualification.store import Store

    store = Store(url or results_url())
    if not session:
        registry = load_registry()
        here = "" if any_machine else probe(registry.chips, registry.tiers).identifier
        session = store.latest(here)
    return store.results(session)


if __name__ == "__main__":
    main()
