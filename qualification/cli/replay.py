"""``qualify replay``: does the gate see what really broke?"""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path

import click

from qualification.cli.errors import one_sentence


@click.command()
@click.argument("regressions", nargs=-1)
@click.option("--only-bad", is_flag=True, help="Leave out the pairs that are both good.")
@click.option("--list", "as_list", is_flag=True, help="Show the catalogue and run nothing.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of replay.json and REPLAY.md (default: benchmarks).",
)
@one_sentence
def replay(
    regressions: tuple[str, ...], only_bad: bool, as_list: bool, output: Path | None
) -> None:
    """Run past regressions (by identifier, pattern or row) through the gate.

    Each is an environment that was good and one that was bad, on the canaries where it shows.
    Exit code 1 where one is missed or a good pair is called regressed.
    """
    from qualification.core.paths import home
    from qualification.models.loading import load_registry
    from qualification.upgrade import replay as replaying

    catalogue = replaying.read_catalogue()
    chosen = replaying.select(catalogue, regressions)
    if as_list:
        for one in chosen:
            click.echo(f"{one.row:3}  {one.identifier}: {one.title} ({one.source})")
        return
    found = []
    for each in replaying.replay(chosen, load_registry(), say=click.echo, also_good=not only_bad):
        found.append(each)
        named = f": {', '.join(each.named)}" if each.named else ""
        click.echo(f"  {each.outcome} ({each.verdict or '–'}{named}) in {each.wall_s:.0f} s")
        click.echo(f"  {each.sentence[:300]}")
    folder = output or home() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.date.today().isoformat()
    record = replaying.as_json(found, catalogue, date)
    (folder / "replay.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = replaying.document(found, catalogue, date)
    (folder / "REPLAY.md").write_text(text, encoding="utf-8")
    click.echo(folder / "REPLAY.md")
    if any(each.outcome in ("missed", "false alarm") for each in found):
        sys.exit(1)
