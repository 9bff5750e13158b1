"""``qualify synthetic``: random weights of real size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from qualification.cli.downloads import paced
from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, in_project
from qualification.cli.stored import declared
from qualification.core.format import bytes_text
from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.models.synthetic.cache import Entry


@click.group()
def synthetic() -> None:
    """Show, make and remove random weights of real size."""


@synthetic.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@in_project
@one_sentence
def synthetic_list(*, as_json: bool, project: Project) -> None:
    """Show the cached weights and their sizes."""
    from qualification.core.paths import cache

    entries = _cached(project)
    if as_json:
        records = [vars(entry) | {"folder": str(entry.folder)} for entry in entries]
        click.echo(json.dumps(records, indent=2))
        return
    for entry in entries:
        note = "" if entry.current else "  (of another release: remove it)"
        click.echo(f"{bytes_text(entry.bytes):>9}  {entry.deployment}{note}")
    total = sum(entry.bytes for entry in entries)
    click.echo(f"{bytes_text(total):>9}  in {cache() / 'synthetic'}")


@synthetic.command("make")
@click.argument(
    "deployments", nargs=-1, required=True, metavar="DEPLOYMENT...", shell_complete=declared_names
)
@click.option(
    "--any-size", is_flag=True, help="Also weights that do not fit into this machine's memory."
)
@in_project
@one_sentence
def synthetic_make(*, deployments: tuple[str, ...], any_size: bool, project: Project) -> None:
    """Make the weights of DEPLOYMENT.

    For example: qwen2.5-vl-3b-Q4_K_M-synthetic@llamacpp
    """
    from qualification.machine.probe import probe
    from qualification.machine.tiers import tier_of
    from qualification.models.memory_fit import critical_memory_bytes
    from qualification.models.synthetic.cache import ready

    registry = declared(project).with_weights("synthetic")
    chosen = [registry.deployment(name) for name in deployments]
    machine = probe(registry.chips, registry.tiers)
    tier = tier_of(machine, registry.tiers)
    limit = critical_memory_bytes(machine, tier)
    if any_size or not limit:
        limit = float("inf")
    for deployment in chosen:
        click.echo(ready(deployment, memory_limit=limit, say=paced()))


@synthetic.command("remove")
@click.argument("deployments", nargs=-1, metavar="[DEPLOYMENT]...", shell_complete=declared_names)
@click.option("--all", "everything", is_flag=True, help="Remove all cached weights.")
@in_project
@one_sentence
def synthetic_remove(*, deployments: tuple[str, ...], everything: bool, project: Project) -> None:
    """Remove the weights of DEPLOYMENT from the cache."""
    from qualification.core.errors import SelectionError
    from qualification.models.synthetic.cache import remove

    entries = _cached(project)
    present = [entry.deployment for entry in entries]
    unknown = [name for name in deployments if name not in present]
    if unknown or not (deployments or everything):
        raise SelectionError(
            f"{', '.join(unknown) or 'nothing'} is to be removed; the cache has: "
            f"{', '.join(present) or 'nothing'}"
        )
    for entry in entries:
        if everything or entry.deployment in deployments:
            remove(entry)
            click.echo(f"removed {entry.folder}")


def _cached(project: Project) -> list[Entry]:
    from qualification.models.synthetic.cache import entries

    return entries(declared(project).with_weights("synthetic").deployments())
