"""``qualify environments``: which environments are declared and built; build and remove them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.core.format import bytes_text
from qualification.core.project import Project

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from qualification.upgrade.environments.cache import Built
    from qualification.upgrade.environments.spec import EnvironmentSpec


@click.group()
def environments() -> None:
    """Show, build and remove environments of pinned releases."""


@environments.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@in_project
@one_sentence
def list_environments(*, as_json: bool, project: Project) -> None:
    """Show the declared environments and the built ones."""
    from rich.console import Console

    from qualification.upgrade.environments.cache import built, find
    from qualification.upgrade.environments.spec import environment_names, environment_spec

    own = project.declarations
    declared = [environment_spec(name, own) for name in environment_names(own)]
    if as_json:
        pairs = [(spec, find(spec)) for spec in declared]
        specs = {environment.key: environment for _, environment in pairs if environment}
        pairs += [(cached.spec, cached) for cached in built() if cached.key not in specs]
        click.echo(json.dumps([_record(*pair) for pair in pairs], indent=2))
        return
    Console().print(_table([(spec, find(spec)) for spec in declared], built()))


def _record(spec: EnvironmentSpec, environment: Built | None) -> dict[str, object]:
    """An environment in JSON types; without an interpreter where it is not built."""
    return {
        "name": spec.name,
        "pins": [*spec.pins, *spec.no_dependencies],
        "key": environment.key if environment else None,
        "python": str(environment.python) if environment else None,
    }


@environments.command("build")
@click.argument("name")
@click.option(
    "--candidate",
    "changes",
    default="",
    metavar="PINS",
    help="Pins that replace the declared ones: 'mlx-vlm==0.7.11 …'.",
)
@click.option("--as-of", default="", metavar="DATE", help="The day of all that PINS do not name.")
@in_project
@one_sentence
def build(*, name: str, changes: str, as_of: str, project: Project) -> None:
    """Build an environment, unless it is built already.

    NAME is a declared environment; its interpreter's path is printed.
    """
    from qualification.upgrade.environments.cache import ready
    from qualification.upgrade.environments.spec import candidate, environment_spec

    spec = environment_spec(name, project.declarations)
    if changes or as_of:
        spec = candidate(spec, changes, as_of)
    click.echo(ready(spec, say=lambda sentence: click.echo(sentence, err=True)).python)


@environments.command("remove")
@click.argument("names", nargs=-1, metavar="[NAME|KEY]...")
@click.option("--all", "everything", is_flag=True, help="Remove all built environments.")
@in_project
@one_sentence
def remove_environments(*, names: tuple[str, ...], everything: bool, project: Project) -> None:
    """Remove built environments.

    NAME is an environment's name, KEY the key that "qualify environments list" shows.
    """
    from qualification.core.errors import SelectionError
    from qualification.upgrade.environments.cache import built, remove

    present = built()
    keys = _keys(present, project.declarations)
    unknown = [name for name in names if name not in keys]
    if unknown or not (names or everything):
        raise SelectionError(
            f"{', '.join(unknown) or 'nothing'} is to be removed; the cache has: "
            f"{', '.join(sorted(keys)) or 'nothing'}"
        )
    chosen = {keys[name] for name in names}
    for environment in present:
        if everything or environment.key in chosen:
            remove(environment, say=lambda sentence: click.echo(sentence, err=True))
            click.echo(f"removed {environment.python.parent.parent}")


def _keys(present: tuple[Built, ...], own: Path | None) -> dict[str, str]:
    """The key of a built environment by its name, and by the key itself."""
    from qualification.upgrade.environments.cache import find
    from qualification.upgrade.environments.spec import environment_names, environment_spec

    keys = {environment.key: environment.key for environment in present}
    keys |= {environment.spec.name: environment.key for environment in present}
    for name in environment_names(own):
        current = find(environment_spec(name, own))
        if current is not None:
            keys[name] = current.key
    return keys


def _table(
    declared: list[tuple[EnvironmentSpec, Built | None]], present: tuple[Built, ...]
) -> Table:
    """A row for each declared environment, then for each other one in the cache."""
    from rich.markup import escape
    from rich.table import Table

    from qualification.core.libraries import PRINCIPAL_LIBRARIES
    from qualification.upgrade.environments.spec import pinned

    table = Table()
    table.add_column("environment", overflow="fold")
    table.add_column("releases")
    table.add_column("built", no_wrap=True)
    table.add_column("size", no_wrap=True, justify="right")
    declared_keys = {built.key for _, built in declared if built is not None}
    undeclared = [(built.spec, built) for built in present if built.key not in declared_keys]
    for spec, built in [*declared, *undeclared]:
        versions = pinned(spec) if built is None else built.versions
        releases = [f"{name} {versions[name]}" for name in PRINCIPAL_LIBRARIES if name in versions]
        key, size = ("no", "") if built is None else (built.key, bytes_text(built.bytes))
        table.add_row(*map(escape, (spec.name, ", ".join(releases), key, size)))
    return table
