"""``qualify lint-published``: published figures that contradict arithmetic."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.paths import published_claims
from qualification.core.project import Project


@click.command("lint-published")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of published documents (default: those that ship).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@in_project
@one_sentence
def lint_published(*, folder: Path | None, as_json: bool, project: Project) -> None:
    """List published figures that contradict arithmetic.

    Exit code 1 if a contradiction is not recorded yet, or a recorded one is no longer found.
    """
    from dataclasses import asdict

    from qualification.models.published_claims import contradictions, read_known, read_published

    folder = folder or published_claims()
    contradicted = contradictions(read_published(folder), declared(project))
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
