"""``qualify gate``: may we move from one environment to another?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from qualification.cli.downloads import may_download, required
from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.backends import ENGINES


@click.command()
@click.option(
    "--from", "baseline", default="current", metavar="ENV", help="Baseline (default: current)."
)
@click.option("--from-pins", "baseline_pins", default="", metavar="PINS", help="Over the baseline.")
@click.option(
    "--to", "candidate", default="", metavar="ENV", help="Candidate (default: the baseline)."
)
@click.option(
    "--candidate",
    "candidate_pins",
    default="",
    metavar="PINS",
    help='Over the candidate: "mlx-vlm==0.7.11 …".',
)
@click.option("--as-of", default="", metavar="DATE", help="The day of all that PINS do not name.")
@click.option("--models", multiple=True, metavar="PATTERN", help="Models or deployments.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice([name for name in ENGINES if name != "server"]),
)
@click.option(
    "--metrics",
    default="",
    help="all, none, or names with commas: decode_tps,load_s (default: all; for canaries the peak "
    "memory, and the latency ratio of the answers)",
)
@click.option("--weights", type=click.Choice(["canary", "hub", "synthetic"]), default="canary")
@click.option("--budget-minutes", type=click.FloatRange(0), default=0.0, help="0: no limit.")
@click.option("--seed", type=int, help="For the coin and the images (default: drawn and kept).")
@click.option(
    "--warnings",
    type=click.Choice(["note", "fail"]),
    default="note",
    help="New warnings of the candidate.",
)
@may_download
@in_project
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="A new folder.")
@click.option("--resume", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--jobs", type=click.IntRange(1, 16), default=2, help="Canaries asked at once.")
@one_sentence
def gate(**options: Any) -> None:
    """Compare a candidate environment with a baseline: behaviour, then speed, load and memory.

    ENV is a declared name (qualify environments list), `here`, or the path of an interpreter.
    Exit codes: 0 pass, 1 regressed, 3 inconclusive or unfit, 2 usage or internal error. A gate that
    was interrupted continues with --resume FOLDER.
    """
    from rich.console import Console

    from qualification.core.errors import GateError
    from qualification.core.files import write_documents
    from qualification.session.device_lock import measuring
    from qualification.upgrade.gate import report
    from qualification.upgrade.gate.plan import GateRequest
    from qualification.upgrade.gate.progress import Progress, conclusion
    from qualification.upgrade.gate.start import open_gate

    console = Console()
    request = GateRequest(**options)
    registry = declared(request.project)
    with (
        measuring("qualify gate", request.project.root),
        open_gate(
            request,
            registry,
            console.print,
            lambda needed: required(needed, is_allowed=request.download),
        ) as running,
    ):
        try:
            with Progress(running.plan, console) as progress:
                result = running.run(progress)
        except KeyboardInterrupt:
            raise GateError(
                f"interrupted; continue with: qualify gate --resume {running.folder}"
            ) from None
    console.print(conclusion(result, registry.bugs))
    for file in write_documents(report.render(result, registry.bugs), running.folder):
        console.print(str(file), soft_wrap=True, highlight=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(report.summary(result, registry.bugs))
    sys.exit(result.exit_code)
