"""The ``qualify`` command. Running is pytest's work; this shows, renders and accepts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.commands import one_sentence
from qualification.commands.baselines import baseline
from qualification.commands.bisect import bisect
from qualification.commands.environments import environments
from qualification.commands.gate import gate
from qualification.commands.replay import replay
from qualification.commands.stored import stored_results
from qualification.commands.watch import watch
from qualification.places import DECLARATIONS, home

if TYPE_CHECKING:
    from qualification.synthetic.cache import Entry


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="qualification")
def main() -> None:
    """Qualify a machine, or a new release of its libraries, for vision-language models.

    \b
    pytest -m canary      does the software work here? (a few minutes, nothing to download)
    pytest -m here        qualify this machine with the models of its tier
    qualify report        render what was found
    qualify gate          may we move to another release of the libraries?
    qualify watch         does it hold out? minutes to days on one deployment or server
    """  # noqa: D301 - click reads the escape


for _command in (gate, bisect, replay, environments, baseline, watch):
    main.add_command(_command)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@one_sentence
def doctor(as_json: bool) -> None:
    """Show this machine, its tier, its libraries and which backends are ready."""
    from qualification.doctor import doctor_report, render_doctor
    from qualification.machine import backend_readiness, environment, probe
    from qualification.preconditions import preconditions
    from qualification.registry import load_registry
    from qualification.server_programs import server_readiness

    registry = load_registry()
    report = doctor_report(
        probe(registry.chips, registry.tiers),
        environment(),
        preconditions(),
        backend_readiness(),
        registry.tiers,
        server_readiness(),
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
@one_sentence
def report(session: str, any_machine: bool, results: str, output: Path | None) -> None:
    """Render recommendations.md and .html from the stored results."""
    from qualification.registry import load_registry
    from qualification.report import render, write

    registry = load_registry()
    documents = render(stored_results(results, session, any_machine), registry)
    for file in write(documents, output or home() / "reports/latest"):
        click.echo(file)


@main.command()
@click.argument("deployments", nargs=-1)
@click.option("--session", default="", help="Session to accept (default: this machine's newest).")
@click.option("--any-machine", is_flag=True, help="The newest of all machines in the database.")
@click.option("--results", default="", metavar="URL", help="Results database.")
@one_sentence
def accept(deployments: tuple[str, ...], session: str, any_machine: bool, results: str) -> None:
    """Accept a session's trials as baseline, for all its deployments or those named."""
    from qualification.baseline import accept as accept_session
    from qualification.errors import SelectionError
    from qualification.registry import load_registry
    from qualification.report import rejected

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


@main.group()
def synthetic() -> None:
    """Random weights at real size: what is cached, make some, remove some."""


@synthetic.command("list")
@one_sentence
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
@one_sentence
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
@one_sentence
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


@main.command()
@click.argument("deployments", nargs=-1, metavar="[MODEL]...")
@click.option("--tier", "tiers", multiple=True, help="A tier to fit it on (default: all).")
@click.option("--context", type=click.IntRange(1, 10**7), help="Tokens held (default: declared).")
@click.option("--image", default="1355x710", metavar="WxH", help="Size of the picture in pixels.")
@click.option("--together", "at_once", is_flag=True, help="All of them at the same time.")
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@click.option(
    "--fit",
    "measured",
    is_flag=False,
    flag_value=DECLARATIONS / "memory_measured.toml",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="[FILE]",
    help="Refit the constants of memory.toml to measured peaks instead.",
)
@one_sentence
def footprint(
    deployments: tuple[str, ...],
    tiers: tuple[str, ...],
    context: int | None,
    image: str,
    at_once: bool,
    as_json: bool,
    measured: Path | None,
) -> None:
    """Predict peak memory: which model fits which tier, with how much room.

    MODEL is a deployment, a model's name or a combination of memory.toml; without any, all real
    ones. One deployment, or several --together, are shown as a sum.
    """
    from rich.console import Console

    from qualification import footprint_screen as screen
    from qualification.footprint_fit import fit, read_observations
    from qualification.plan import predict
    from qualification.registry import load_registry
    from qualification.weights import tensors_here

    registry = load_registry()
    console = Console()
    if measured is not None:
        seen = read_observations(measured)
        names = {one.backend for one in seen}
        fitted = [fit(seen, one) for one in registry.backends if one.name in names]
        console.print(screen.fit_report(seen, fitted, registry))
        return
    chosen, combined = screen.chosen(registry, deployments)
    footprints = [
        predict(
            one,
            registry,
            tensors_here(one, home() / "fixtures"),
            context=context,
            picture=screen.picture_size(image),
        )
        for one in chosen
    ]
    places = screen.places(registry, tiers)
    at_once = at_once or combined
    if as_json:
        found = screen.as_json(footprints, places, at_once=at_once)
        click.echo(json.dumps(found, indent=2))
    elif at_once or len(footprints) == 1:
        console.print(screen.sums(footprints, places))
    else:
        console.print(screen.fit_table(footprints, places, console.width))


@main.command()
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
    from qualification.projection import project as carry
    from qualification.registry import load_registry

    registry = load_registry()
    found = stored_results(results, session, any_machine)
    names = deployments or tuple(verdict.deployment for verdict in found.verdicts)
    for name in names:
        speeds = [t.value for t in found.trials if (t.deployment, t.metric) == (name, "decode_tps")]
        for tier in tiers:
            one = registry.deployment(name)
            carried = carry(one, speeds, found.session.machine, registry.tier(tier), registry)
            click.echo(carried.sentence)


@main.command("lint-published")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Published documents (default: baselines/published).",
)
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@one_sentence
def lint_published(folder: Path | None, as_json: bool) -> None:
    """List published figures that arithmetic contradicts; exit 1 where one is not recorded."""
    from dataclasses import asdict

    from qualification.published import contradictions, read_known, read_published
    from qualification.registry import load_registry

    place = folder or home() / "baselines/published"
    found = contradictions(read_published(place), load_registry())
    known = read_known(place)
    fresh = [one for one in found if one.key not in known]
    ended = sorted(known - {one.key for one in found})
    if as_json:
        rows = [{**asdict(one), "known": one.key in known} for one in found]
        click.echo(json.dumps(rows, indent=2))
    else:
        for one in found:
            mark = "known" if one.key in known else "NEW"
            click.echo(f"{one.file}:{one.line}: [{one.rule}, {mark}] {one.sentence}")
        click.echo(f"{len(found)} figures contradicted, {len(fresh)} of them not recorded")
    for file, line, model, metric, rule in ended:
        what = f"{rule} of {model} {metric}"
        click.echo(f"{file}:{line}: recorded {what} is not found any more", err=True)
    if fresh or ended:
        sys.exit(1)


if __name__ == "__main__":
    main()
