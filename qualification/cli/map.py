"""``qualify map``: which release of a package sees with which model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.upgrade.release_map.document import Maps


@click.command(name="map")
@click.argument("package", default="")
@click.option("--since", default="", metavar="DATE", help="Releases of this day (2026-03-31) on.")
@click.option("--last", "most", type=click.IntRange(min=1), help="Only so many, the newest.")
@click.option(
    "--minor",
    "only_ends",
    is_flag=True,
    help="First and last of each minor release, and all between two that differ.",
)
@click.option("--models", "pattern", default="*", metavar="PATTERN", help="Canaries: 'smolvlm*'.")
@click.option("--pre", "with_pre_releases", is_flag=True, help="Pre-releases too.")
@click.option("--jobs", type=click.IntRange(1, 16), default=2, help="Canaries asked at once.")
@click.option("--keep", is_flag=True, help="Keep the environments that are built for it.")
@click.option("--check", is_flag=True, help="Only say whether the index has newer releases.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of journal and documents (default: reports/maps/PACKAGE).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and write no document.")
@in_project
@one_sentence
def map_releases(
    *,
    package: str,
    check: bool,
    output: Path | None,
    as_json: bool,
    project: Project,
    **options: Any,
) -> None:
    """Ask every release of a package which models it still sees with.

    PACKAGE is a library that canaries load, as xllamacpp, mlx-vlm or pillow. Each release gets two
    environments, one with the other packages of its own day and one with today's; all canaries
    that it can load answer 24 questions of each skill. What was asked is kept, and what the map
    that ships has is not asked again: the command may be ended at any time, and a later one asks
    only what is new, and without --since or --last nothing that is older than the map that ships.

    Without PACKAGE it asks nothing, and shows the maps that ship. With --check the exit code is 1
    where the index has releases that are newer than a map.
    """
    from qualification.upgrade.release_map.driver import (
        MapRequest,
        make_map,
        maps_of,
        shipped_maps,
        write_map,
    )

    registry = declared(project)
    if check:
        _check(shipped_maps(registry), package)
        return
    folder = output or project.reports / "maps" / package
    if not package:
        _show(shipped_maps(registry), "releases", folder, as_json=as_json)
        return
    request = MapRequest(package, own=project.declarations, **options)
    release_map = make_map(request, registry, folder, lambda line: click.echo(line, err=as_json))
    maps = maps_of([release_map], registry)
    for file in write_map(maps, folder):
        click.echo(file, err=as_json)
    _show(maps, f"releases-{package}", folder, as_json=as_json)


def _show(maps: Maps, name: str, folder: Path, *, as_json: bool) -> None:
    from qualification.core.files import write_documents
    from qualification.documents.render import render, screen, summary, to_json_text
    from qualification.upgrade.release_map.document import map_document

    document = map_document(maps, name)
    if as_json:
        click.echo(to_json_text(document), nl=False)
        return
    for line in screen(document, 100):
        click.echo(line)
    for file in write_documents(render(document), folder):
        click.echo(file)
    if page := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(page, "a", encoding="utf-8") as stream:
            stream.write(summary(document))


def _check(maps: Maps, package: str) -> None:
    """Exit code 1 where a map ends before the index does."""
    from qualification.upgrade.release_map.driver import newer_releases

    chosen = [release_map for release_map in maps.maps if package in ("", release_map.package)]
    if not chosen:
        raise click.UsageError(f"no map of {package} ships: make it with qualify map {package}")
    are_current = True
    for release_map in chosen:
        newest = release_map.releases[-1].version
        later = newer_releases(release_map.package, newest)
        if later:
            are_current = False
            names = ", ".join(release.version for release in later)
            click.echo(
                f"{release_map.package}: the map ends with {newest}, and there are {names}: "
                f"qualify map {release_map.package}"
            )
        else:
            click.echo(f"{release_map.package}: {newest} is the newest release")
    if not are_current:
        raise SystemExit(1)
