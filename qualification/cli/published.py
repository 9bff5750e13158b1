"""``qualify lint-published``: published figures that arithmetic contradicts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.core.paths import home


@click.command("lint-published")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Published documents (default: baselines/published).",
)
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@one_sentence
def lint_published(folder: Path | None, as_json: bool) -> None:
    """List published figures that arithmetic contradicts; exit 1 where one is not recorded."""
    from dataclasses import asdict

    from qualification.models.loading import load_registry
    from qualification.models.published_claims import contradictions, read_known, read_published

    place = folder or home() / "baselines/published"
    found = contradictions(read_published(place), load_registry())
    known = read_known(place)
    fresh = [one for one in found if one.key not in known]
    ended = sorted(known - {one.key for one in found})
    if as_json:
        rows = [{**asdict(one), "known": one.key in known} for one in found]
        click.echo(json.dumps(rows, indent=2))
    else:
        for one in found:
            mark = "known" if one.key in known else "NEW"
            click.echo(f"{one.file}:{one.line}: [{one.rule}, {mark}] {one.sentence}")
        click.echo(f"{len(found)} figures contradicted, {len(fresh)} of them not recorded")
    for file, line, model, metric, rule in ended:
        what = f"{rule} of {model} {metric}"
        click.echo(f"{file}:{line}: recorded {what} is not found any more", err=True)
    if fresh or ended:
        sys.exit(1)
