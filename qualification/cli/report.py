"""``qualify report``: render the documents from the stored results."""

from __future__ import annotations

from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.cli.stored import session_options, stored_results
from qualification.core.paths import home


@click.command()
@session_options
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the documents (default: reports/latest).",
)
@one_sentence
def report(*, session: str, any_machine: bool, results: str, output: Path | None) -> None:
    """Render the documents of a stored session.

    These are recommendations.md and recommendations.html.
    """
    from qualification.core.files import write_documents
    from qualification.models.loading import load_registry
    from qualification.results.report import render

    registry = load_registry()
    documents = render(stored_results(results, session, any_machine=any_machine), registry)
    for file in write_documents(documents, output or home() / "reports/latest"):
        click.echo(file)
