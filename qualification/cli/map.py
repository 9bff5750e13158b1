"""``qualify map``: which release of a package sees with which model."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.project import Project


@click.command(name="map")
@click.argument("package")
@click.option("--since", default="", metavar="DATE", help="Releases of this day (2026-03-31) on.")
@click.option("--last", "most", type=click.IntRange(min=1), help="Only so many, the newest.")
@click.option("--models", default="*", metavar="PATTERN", help="Canaries by name: 'smolvlm*'.")
@click.option("--pre", is_flag=True, help="Pre-releases too.")
@click.option("--keep", is_flag=True, help="Keep the environments that are built for it.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of journal and documents (default: reports/maps/PACKAGE).",
)
@in_project
@one_sentence
def map_releases(
    *,
    package: str,
    since: str,
    most: int | None,
    models: str,
    pre: bool,
    keep: bool,
    output: Path | None,
    project: Project,
) -> None:
    """Ask every release of a package which models it still sees with.

    PACKAGE is a library that canaries run on, as xllamacpp or mlx-vlm. Each release gets two
    environments, one with the other packages of its own day and one with today's; all canaries
    that it can load answer 24 questions of each skill. What was asked is kept: the command may be
    ended at any time, and a later one asks only what is new.
    """
    from qualification.core.files import write_documents
    from qualification.documents.render import render, screen
    from qualification.upgrade.release_map.document import map_document
    from qualification.upgrade.release_map.driver import MapRequest, make_map

    request = MapRequest(package, since, most or 0, models, pre, keep, project.declarations)
    folder = output or project.reports / "maps" / package
    release_map = make_map(request, declared(project), folder, click.echo)
    document = map_document(release_map, f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    click.echo()
    for line in screen(document, 100):
        click.echo(line)
    for file in write_documents(render(document), folder):
        click.echo(file)
