"""``qualify report``: render the documents from the stored results."""

from __future__ import annotations

from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project


@click.command()
@session_options
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the documents (default: reports/latest).",
)
@click.option("--open", "is_opened", is_flag=True, help="Open the HTML document in a browser.")
@one_sentence
def report(
    *,
    session: str,
    any_machine: bool,
    results: str,
    output: Path | None,
    is_opened: bool,
    project: Project,
) -> None:
    """Render the documents of a stored session.

    These are recommendations.md and recommendations.html.
    """
    from qualification.core.files import write_documents
    from qualification.results.report import render

    registry = declared(project)
    stored = stored_results(
        project, registry, results=results, session=session, any_machine=any_machine
    )
    documents = render(stored, registry)
    files = write_documents(documents, output or project.reports / "latest")
    for file in files:
        click.echo(file)
    if is_opened:
        html = next(file for file in files if file.suffix == ".html")
        if click.launch(str(html)):
            raise click.ClickException(f"{html}: no program here opens it; copy it to one that has")
