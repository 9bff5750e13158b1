"""``qualify gate``: may we move from one environment to another?"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence

if TYPE_CHECKING:
    from qualification.upgrade.environments.spec import EnvironmentSpec


@click.command()
@click.option("--from", "a", default="current", metavar="ENV", help="A, in use (default: current).")
@click.option("--from-pins", default="", metavar="PINS", help="Pins laid over A's.")
@click.option("--to", "b", default="", metavar="ENV", help="B, to move to (default: A).")
@click.option("--candidate", default="", metavar="PINS", help='Over B\'s: "mlx-vlm==0.7.11 …".')
@click.option("--models", multiple=True, metavar="PATTERN", help="Models or deployments.")
@click.option(
    "--backend", "backends", multiple=True, type=click.Choice(["mlx", "torch", "llamacpp", "fake"])
)
@click.option(
    "--metrics",
    default="",
    help="all, none, or names with commas: decode_tps,load_s (default: all; of canaries the peak "
    "memory, and how long answers take in the main)",
)
@click.option("--weights", type=click.Choice(["canary", "hub", "synthetic"]), default="canary")
@click.option("--budget-minutes", type=click.FloatRange(0), default=0.0, help="0: no limit.")
@click.option("--seed", type=int, help="Of the coin and the pictures (default: drawn and kept).")
@click.option(
    "--warnings", type=click.Choice(["note", "fail"]), default="note", help="New ones in B."
)
@click.option("--declarations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="A new folder.")
@click.option("--resume", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--jobs", type=click.IntRange(1, 16), default=2, help="Canaries asked at once.")
@one_sentence
def gate(
    a: str,
    from_pins: str,
    b: str,
    candidate: str,
    models: tuple[str, ...],
    backends: tuple[str, ...],
    metrics: str,
    weights: str,
    budget_minutes: float,
    seed: int | None,
    warnings: str,
    declarations: Path | None,
    output: Path | None,
    resume: Path | None,
    jobs: int,
) -> None:
    """Compare environment B with A: behaviour first, then speed, load and memory.

    ENV is a declared name (qualify environments list), `here`, or the path of an interpreter.
    Exit codes: 0 pass, 1 regressed, 3 inconclusive or unfit, 2 usage or internal error. A gate that
    was interrupted goes on with --resume FOLDER.
    """
    from rich.console import Console

    from qualification.core.errors import GateError
    from qualification.core.paths import home
    from qualification.machine.probe import probe
    from qualification.models.loading import load_registry
    from qualification.upgrade.environments.cache import ready
    from qualification.upgrade.gate import journal as journals
    from qualification.upgrade.gate import progress as screen
    from qualification.upgrade.gate import report
    from qualification.upgrade.gate.plan import chosen, chosen_metrics, make_plan
    from qualification.upgrade.gate.run import Gate, Sides

    console = Console()
    registry = load_registry(declarations)
    machine = probe(registry.chips, registry.tiers)
    tier = registry.tier(machine.tier) if machine.tier else None
    if resume is None and not b and not candidate.strip():
        raise GateError(
            "there is nothing to move to: name it with --to ENV or --candidate PINS "
            "(an environment against itself: --to with the name of A)"
        )
    if resume is not None:
        journal, recorded = journals.Journal.again(resume)
        spec_a, spec_b = recorded.a, recorded.b
    else:
        spec_a = _spec(a, from_pins)
        spec_b = _spec(b, candidate) if b else _over(spec_a, candidate)
    sides = ready(spec_a, say=console.print), ready(spec_b, say=console.print)
    if resume is None:
        deployments = chosen(
            registry,
            weights=weights,  # type: ignore[arg-type]
            models=models,
            backends=backends,
            machine=machine,
            tier=tier,
            versions=[side.versions for side in sides],
        )
        plan = make_plan(
            sides,
            deployments,
            machine,
            metrics=chosen_metrics(metrics, machine, weights),  # type: ignore[arg-type]
            named=bool(models),
            weights=weights,  # type: ignore[arg-type]
            seed=seed,
            warnings=warnings,  # type: ignore[arg-type]
            budget_s=60 * budget_minutes,
        )
        folder = output or home() / "reports/gates" / plan.identifier
        journal = journals.Journal.begin(folder, plan, spec_a, spec_b)
        recorded = journals.read(folder)
    plan, folder = recorded.plan, journal.path.parent
    for built, record in zip(sides, (plan.a, plan.b), strict=True):
        if built.key != record.key:
            raise GateError(
                f"{folder}: was begun with another build of {record.name} (key {record.key}, now "
                f"{built.key}), so its pairs cannot be continued; start anew"
            )
    known = registry.with_weights(plan.weights)  # type: ignore[arg-type]
    with journal, screen.Progress(plan, console) as shown:
        running = Gate(
            recorded,
            journal,
            {name: known.deployment(name) for name in plan.deployments},
            Sides(str(sides[0].python), str(sides[1].python)),
            machine=machine,
            tier=tier,
            fixtures=home() / "fixtures",
            shown=shown,
            jobs=jobs if plan.weights == "canary" else 1,
        )
        try:
            result = running.run()
        except KeyboardInterrupt:
            raise GateError(f"interrupted; go on with: qualify gate --resume {folder}") from None
    console.print(screen.conclusion(result))
    for file in report.write(report.render(result), folder):
        console.print(str(file), soft_wrap=True, highlight=False)
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(report.summary(result))
    sys.exit(result.exit_code)


def _spec(name: str, pins: str) -> EnvironmentSpec:
    from qualification.upgrade.environments.spec import environment_spec

    return _over(environment_spec(name), pins)


def _over(spec: EnvironmentSpec, pins: str) -> EnvironmentSpec:
    from qualification.upgrade.environments.spec import candidate

    return candidate(spec, pins) if pins else spec
