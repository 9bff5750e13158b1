"""``qualify synthetic``: random weights at real size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence
from qualification.core.paths import home

if TYPE_CHECKING:
    from qualification.models.synthetic.cache import Entry


@click.group()
def synthetic() -> None:
    """Random weights at real size: what is cached, make some, remove some."""


@synthetic.command("list")
@one_sentence
def synthetic_list() -> None:
    """Show the cache: what is there, how large, and what an older release made."""
    from qualification.core.paths import cache

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
    from qualification.machine.probe import probe
    from qualification.models.loading import load_registry
    from qualification.models.memory_fit import critical_memory_bytes
    from qualification.models.synthetic.cache import ready

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
    from qualification.core.errors import SelectionError
    from qualification.models.synthetic.cache import remove

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
    from qualification.models.loading import load_registry
    from qualification.models.synthetic.cache import entries

    return entries(load_registry().with_weights("synthetic").deployments())
