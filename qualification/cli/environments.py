"""``qualify environments``: which environments are declared, which are built, build and remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence

if TYPE_CHECKING:
    from rich.table import Table

    from qualification.upgrade.environments.cache import Built
    from qualification.upgrade.environments.spec import EnvironmentSpec

_SHOWN = ("mlx", "mlx-vlm", "transformers", "torch", "llama-cpp-python")
"""The pins that a list has room for: the libraries that the backends are named after."""


@click.group()
def environments() -> None:
    """Sets of pinned releases to run workers in: what is declared, what is built."""


@environments.command("list")
@one_sentence
def list_environments() -> None:
    """Show the declared environments and what the cache holds."""
    from rich.console import Console

    from qualification.upgrade.environments.cache import built, find
    from qualification.upgrade.environments.spec import environment_names, environment_spec

    declared = [environment_spec(name) for name in environment_names()]
    Console().print(_table([(spec, find(spec)) for spec in declared], built()))


@environments.command("build")
@click.argument("name")
@click.option("--candidate", "changes", default="", help="Pins to change: 'mlx-vlm==0.7.11 …'.")
@one_sentence
def build(name: str, changes: str) -> None:
    """Build the environment NAME if it is not built, and print the path of its interpreter."""
    from qualification.upgrade.environments.cache import ready
    from qualification.upgrade.environments.spec import candidate, environment_spec

    spec = environment_spec(name)
    if changes:
        spec = candidate(spec, changes)
    found = ready(spec, say=lambda sentence: click.echo(sentence, err=True))
    click.echo(found.python)


@environments.command("remove")
@click.argument("names", nargs=-1, metavar="[NAME|KEY]...")
@click.option("--all", "everything", is_flag=True, help="All of the cache.")
@one_sentence
def remove_environments(names: tuple[str, ...], everything: bool) -> None:
    """Remove what is built, by the name of an environment or the key that the list shows."""
    from qualification.core.errors import SelectionError
    from qualification.upgrade.environments.cache import built, remove

    found = built()
    keys = _keys(found)
    unknown = [name for name in names if name not in keys]
    if unknown or not (names or everything):
        raise SelectionError(
            f"{', '.join(unknown) or 'nothing'} is to be removed; the cache has: "
            f"{', '.join(sorted(keys)) or 'nothing'}"
        )
    wanted = {keys[name] for name in names}
    for one in found:
        if everything or one.key in wanted:
            remove(one, say=lambda sentence: click.echo(sentence, err=True))
            click.echo(f"removed {one.python.parent.parent}")


def _keys(found: tuple[Built, ...]) -> dict[str, str]:
    """Return the key that each name and each key stands for, of what is built."""
    from qualification.upgrade.environments.cache import find
    from qualification.upgrade.environments.spec import environment_names, environment_spec

    keys = {one.key: one.key for one in found}
    keys |= {one.spec.name: one.key for one in found}
    for name in environment_names():
        there = find(environment_spec(name))
        if there is not None:
            keys[name] = there.key
    return keys


def _table(declared: list[tuple[EnvironmentSpec, Built | None]], found: tuple[Built, ...]) -> Table:
    """Return a table: a row for each declared environment, then for what else is in the cache."""
    from rich.markup import escape
    from rich.table import Table

    from qualification.upgrade.environments.spec import pinned

    table = Table()
    table.add_column("environment", overflow="fold")
    table.add_column("releases")
    table.add_column("built", no_wrap=True)
    table.add_column("GB", no_wrap=True, justify="right")
    known = {there.key for _, there in declared if there is not None}
    others = [(one.spec, one) for one in found if one.key not in known]
    for spec, there in [*declared, *others]:
        versions = there.versions if there is not None else pinned(spec)
        releases = ", ".join(f"{name} {versions[name]}" for name in _SHOWN if name in versions)
        key, size = (there.key, f"{there.bytes / 1e9:.2f}") if there is not None else ("no", "")
        table.add_row(*map(escape, (spec.name, releases, key, size)))
    return table
