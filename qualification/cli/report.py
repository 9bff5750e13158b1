"""``qualify report``: render the documents from the stored results."""

from __future__ import annotations

from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.cli.stored import stored_results
from qualification.core.paths import home


@click.command()
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
    from qualification.core.files import write
    from qualification.models.loading import load_registry
    from qualification.results.report import render

    registry = load_registry()
    documents = render(stored_results(results, session, any_machine), registry)
    for file in write(documents, output or home() / "reports/latest"):
        click.echo(file)
