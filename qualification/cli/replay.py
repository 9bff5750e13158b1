"""``qualify replay``: does the gate catch past regressions?"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.format import duration_text
from qualification.core.project import Project


@click.command()
@click.argument("regressions", nargs=-1, metavar="[REGRESSION]...")
@click.option("--only-bad", is_flag=True, help="Leave out the pairs of two good environments.")
@click.option("--list", "as_list", is_flag=True, help="Show the catalogue and run nothing.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for replay.json and REPLAY.md (default: reports/replay).",
)
@in_project
@one_sentence
def replay(
    *,
    regressions: tuple[str, ...],
    only_bad: bool,
    as_list: bool,
    output: Path | None,
    project: Project,
) -> None:
    """Run past regressions through the gate.

    REGRESSION is an identifier, a pattern or a row of the catalogue; without it, all are run. Each
    one pairs a good environment with a bad one, on the canaries where the regression shows. Exit
    code 1 if a regression is missed or caught only by checks that are not declared for it, or if a
    good pair is called regressed.
    """
    from qualification.core.files import write_documents
    from qualification.session.device_lock import measuring
    from qualification.upgrade import replay as replaying

    catalogue = replaying.read_catalogue()
    chosen = replaying.select(catalogue, regressions)
    if as_list:
        for regression in chosen:
            identity = f"{regression.row:3}  {regression.identifier}"
            click.echo(f"{identity}: {regression.title} ({regression.source})")
        return
    results = []
    registry = declared(project)
    with measuring("qualify replay", project.root):
        for result in replaying.replay(chosen, registry, say=click.echo, also_good=not only_bad):
            results.append(result)
            named = f": {', '.join(result.named)}" if result.named else ""
            verdict = f"{result.verdict or '–'}{named}"
            click.echo(f"  {result.outcome} ({verdict}) in {duration_text(result.wall_s)}")
            click.echo(f"  {result.sentence[:300]}")
    date = datetime.date.today().isoformat()
    record = replaying.as_json(results, catalogue, date)
    documents = {
        "replay.json": json.dumps(record, indent=1) + "\n",
        "REPLAY.md": replaying.document(results, catalogue, date, registry.bugs),
    }
    click.echo(write_documents(documents, output or project.reports / "replay")[-1])
    if any(result.outcome in replaying.FAULTS for result in results):
        sys.exit(1)
