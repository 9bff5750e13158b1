"""``qualify lint-published``: published figures that contradict arithmetic."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.paths import published_claims
from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.models.registry import Registry


@click.command("lint-published")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of published documents (default: those that ship).",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write them to as a document, with what does not hold.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@in_project
@one_sentence
def lint_published(
    *, folder: Path | None, output: Path | None, as_json: bool, project: Project
) -> None:
    """List published figures that contradict arithmetic.

    Exit code 1 if a contradiction is not recorded yet, or a recorded one is no longer found.
    """
    from dataclasses import asdict

    from qualification.models.published_claims import contradictions, read_known, read_published

    folder = folder or published_claims()
    registry = declared(project)
    if output is not None:
        _write(folder, output, registry)
    contradicted = contradictions(read_published(folder), registry)
    recorded = read_known(folder)
    unrecorded = [finding for finding in contradicted if finding.key not in recorded]
    obsolete = sorted(recorded - {finding.key for finding in contradicted})
    if as_json:
        rows = [{**asdict(finding), "known": finding.key in recorded} for finding in contradicted]
        click.echo(json.dumps(rows, indent=2))
    else:
        for finding in contradicted:
            state = "known" if finding.key in recorded else "NEW"
            place = f"{finding.file}:{finding.line}"
            click.echo(f"{place}: [{finding.rule}, {state}] {finding.sentence}")
        click.echo(
            f"{len(contradicted)} figures contradicted, {len(unrecorded)} of them not recorded"
        )
    for file, line, model, metric, rule in obsolete:
        contradiction = f"{rule} of {model} {metric}"
        click.echo(f"{file}:{line}: recorded {contradiction} is no longer found", err=True)
    if unrecorded or obsolete:
        sys.exit(1)


def _write(folder: Path, output: Path, registry: Registry) -> None:
    from qualification.core.files import write_documents
    from qualification.documents.published.document import published_document
    from qualification.documents.session_documents import forms

    documents = [published_document(folder, registry)]
    for file in write_documents(forms(documents, output), output):
        click.echo(file, err=True)
