"""``qualify bisect``: which package, and which release of it, broke a check."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from qualification.cli.downloads import may_download, required
from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.project import Project
from qualification.session.scratch import scratch as scratch_folder


@dataclass(frozen=True)
class BisectRequest:
    """The command line, one field for each option of :func:`bisect`."""

    good: str
    bad: str
    good_pins: str
    bad_pins: str
    check: str
    deployment: str
    weights: str
    package: str
    index: str
    tries: int
    seed: int
    output: Path | None
    download: bool
    project: Project


@click.command()
@click.option("--good", required=True, metavar="ENV", help="An environment that passes the check.")
@click.option("--bad", required=True, metavar="ENV", help="An environment that fails the check.")
@click.option(
    "--good-pins", default="", metavar="PINS", help="Pins that replace good's: 'mlx-vlm==0.6.3'."
)
@click.option("--bad-pins", default="", metavar="PINS", help="Pins that replace bad's.")
@click.option("--check", required=True, metavar="NAME", help="A check of the gate, or a metric.")
@click.option(
    "--deployment", default="", metavar="ID", help="The deployment to test (default: a canary)."
)
@click.option(
    "--weights",
    type=click.Choice(["canary", "synthetic", "hub"]),
    default="canary",
    show_default=True,
    help="Source of the deployment's weights.",
)
@click.option(
    "--package", default="", metavar="NAME", help="Search the releases of this package only."
)
@click.option(
    "--index", default="", metavar="URL", help="Package index (default: as pip is configured)."
)
@click.option(
    "--tries",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Maximum number of fresh processes that test one environment.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the order within pairs."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the record, the report and the script (default: reports/bisect).",
)
@may_download
@in_project
@one_sentence
def bisect(**options: Any) -> None:
    """Find the package and the release that broke a check.

    ENV is a declared environment (qualify environments list), 'here', or an interpreter's path.
    Exit codes: 0 found, 3 undecided, 2 usage error.
    """
    from qualification.session.device_lock import measuring
    from qualification.upgrade.bisect import driver, reproduction

    request = BisectRequest(**options)
    registry, own = declared(request.project), request.project.declarations
    question = driver.BisectQuestion(
        good=driver.environment(request.good, request.good_pins, request.index, own),
        bad=driver.environment(request.bad, request.bad_pins, request.index, own),
        check=request.check,
        deployment=driver.deployment(registry, request.deployment, request.weights),
        package=request.package,
        tries=request.tries,
        seed=request.seed,
    )
    with contextlib.ExitStack() as stack:
        if question.is_timed:
            stack.enter_context(measuring("qualify bisect", request.project.root))
        scratch = stack.enter_context(scratch_folder("bisect"))
        result, observations = driver.answer(
            question,
            registry,
            Path(scratch),
            say=lambda text: click.echo(text, err=True),
            fetching=required([question.deployment], is_allowed=request.download),
        )
    click.echo(result.sentence)
    if result.pins:
        click.echo(f"pin to use: {' or '.join(result.pins)}")
    documents = reproduction.documents(question.deployment, result, observations)
    for file in reproduction.write(documents, request.output or request.project.reports / "bisect"):
        click.echo(file)
    if result.decided and (reason := reproduction.why_no_script(question.deployment)):
        click.echo(f"no script: {reason}", err=True)
    sys.exit(result.exit_code)
