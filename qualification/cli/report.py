"""``qualify report``: render the documents from the stored results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import session_options
from qualification.cli.stored import declared, stored_results
from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.models.registry import Registry


@click.command()
@session_options
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the documents (default: reports/latest).",
)
@click.option("--open", "is_opened", is_flag=True, help="Open the HTML document in a browser.")
@click.option("--show", "is_shown", is_flag=True, help="Print the first screen, write nothing.")
@click.option(
    "--check",
    "is_check",
    is_flag=True,
    help="Write nothing; exit 1 where a document there does not follow from the store.",
)
@one_sentence
def report(
    *,
    session: str,
    any_machine: bool,
    results: str,
    output: Path | None,
    is_opened: bool,
    is_shown: bool,
    is_check: bool,
    project: Project,
) -> None:
    """Render the documents of a stored session.

    Each as Markdown, as one HTML file and as JSON: the recommendations for this machine, a
    reference guide across its models, and the machine's certificate. Also session.xml (JUnit).
    """
    from qualification.documents.context import context
    from qualification.documents.following import reported_before
    from qualification.documents.session_documents import forms, session_documents
    from qualification.results.store import Store

    registry = declared(project)
    folder = output or project.reports / "latest"
    if is_check:
        _check(folder, project.with_options(results=results), registry)
        return
    stored = stored_results(
        project, registry, results=results, session=session, any_machine=any_machine
    )
    store = Store(project.with_options(results=results).results)
    reported = reported_before(folder, stored.session.identifier)
    documents = session_documents(stored, registry, context(stored, store, registry, reported))
    if is_shown:
        from qualification.documents.render import screen

        for line in screen(documents[0], _width()):
            click.echo(line)
        return
    from qualification.core.files import write_documents
    from qualification.documents.junit import session_junit

    files = write_documents(
        forms(documents, folder) | {"session.xml": session_junit(stored)}, folder
    )
    for file in files:
        click.echo(file)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from qualification.documents.render import summary as first_screen

        with open(summary, "a", encoding="utf-8") as page:
            page.write(first_screen(documents[0]))
    if is_opened:
        html = next(file for file in files if file.suffix == ".html")
        if click.launch(str(html)):
            raise click.ClickException(f"{html}: no program here opens it; copy it to one that has")


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _check(folder: Path, project: Project, registry: Registry) -> None:
    """Exit 1, with a line for each document that is not what the store gives."""
    from qualification.documents.following import stale_documents
    from qualification.results.store import Store

    store = Store(project.results)
    checked, stale = stale_documents(folder, store, registry)
    for sentence in stale:
        click.echo(sentence)
    if stale:
        raise click.exceptions.Exit(1)
    click.echo(f"{folder}: {checked} files follow from the store")
