"""``qualify bisect``: which package, and which release of it, broke a check."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.core.paths import home


@click.command()
@click.option("--good", required=True, metavar="ENV", help="An environment that passes the check.")
@click.option("--bad", required=True, metavar="ENV", help="One that fails it.")
@click.option("--good-pins", default="", metavar="PINS", help="Laid over good's: 'mlx-vlm==0.6.3'.")
@click.option("--bad-pins", default="", metavar="PINS", help="Laid over bad's.")
@click.option("--check", required=True, metavar="NAME", help="A check of the gate, or a metric.")
@click.option("--deployment", "identifier", default="", metavar="ID", help="What to ask.")
@click.option(
    "--weights",
    type=click.Choice(["canary", "synthetic", "hub"]),
    default="canary",
    show_default=True,
    help="Where the weights come from.",
)
@click.option("--package", default="", metavar="P", help="Search the releases of this one only.")
@click.option("--index", default="", metavar="URL", help="A package index instead of pip's own.")
@click.option(
    "--tries",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Fresh processes that an environment is asked in at most.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the order of the pairs.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the record, the report and the script (default: reports/bisect).",
)
@one_sentence
def bisect(
    good: str,
    bad: str,
    good_pins: str,
    bad_pins: str,
    check: str,
    identifier: str,
    weights: str,
    package: str,
    index: str,
    tries: int,
    seed: int,
    output: Path | None,
) -> None:
    """Find the package and the release that broke a check; exit 0 found, 3 undecided.

    ENV is a declared environment (qualify environments list), 'here', or an interpreter's path.
    """
    from qualification.upgrade.bisect import driver as bisect_driver
    from qualification.upgrade.bisect import reproduction

    question = bisect_driver.Question(
        good=bisect_driver.environment(good, good_pins, index),
        bad=bisect_driver.environment(bad, bad_pins, index),
        check=check,
        deployment=bisect_driver.deployment(identifier, weights),
        package=package,
        tries=tries,
        seed=seed,
    )
    with tempfile.TemporaryDirectory(prefix="qualify-bisect-") as scratch:
        result, observations = bisect_driver.answer(
            question, Path(scratch), say=lambda text: click.echo(text, err=True)
        )
    click.echo(result.sentence)
    if result.pins:
        click.echo(f"pin to use: {' or '.join(result.pins)}")
    found = reproduction.documents(question.deployment, result, observations)
    for file in reproduction.write(found, output or home() / "reports/bisect"):
        click.echo(file)
    if result.decided and (why := reproduction.why_no_script(question.deployment)):
        click.echo(f"no script: {why}", err=True)
    sys.exit(result.exit_code)
