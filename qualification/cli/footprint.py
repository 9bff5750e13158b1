"""``qualify footprint``: predict peak memory before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import declared_names, in_project
from qualification.cli.stored import declared
from qualification.core.paths import DECLARATIONS
from qualification.core.project import Project

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment
    from qualification.models.tensor_headers import TensorInfo


@click.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...", shell_complete=declared_names)
@click.option("--tier", "tiers", multiple=True, help="Fit it on this tier only (default: all).")
@click.option(
    "--context",
    type=click.IntRange(1, 10**7),
    help="Tokens in the key/value cache (default: the declared context).",
)
@click.option(
    "--image",
    default="1355x710",
    show_default=True,
    metavar="WxH",
    help="Size of the image in pixels.",
)
@click.option("--together", "at_once", is_flag=True, help="Load all of them at the same time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--fit",
    "measured",
    is_flag=False,
    flag_value=DECLARATIONS / "memory_measured.toml",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="[FILE]",
    help="Instead, refit the constants of memory.toml to the measured peaks in FILE.",
)
@in_project
@one_sentence
def footprint(
    *,
    names: tuple[str, ...],
    tiers: tuple[str, ...],
    context: int | None,
    image: str,
    at_once: bool,
    as_json: bool,
    measured: Path | None,
    project: Project,
) -> None:
    """Predict peak memory: which model fits which tier.

    MODEL is a deployment, a model's name, a combination of memory.toml, or a folder, a GGUF file, a
    hub id or an Ollama name, as pytest --model takes it; without MODEL, every deployment of real
    weights. A single deployment, or several with --together, are shown as a sum.
    """
    from rich.console import Console

    from qualification.cli.tables import footprint as tables
    from qualification.models.footprint_fit import fit, read_observations
    from qualification.models.memory_fit import predict

    registry = declared(project)
    console = Console()
    if measured is not None:
        observations = read_observations(measured)
        backends = {observation.backend for observation in observations}
        fitted = [fit(observations, old) for old in registry.backends if old.name in backends]
        console.print(tables.fit_report(observations, fitted, registry))
        return
    deployments, has_combination = tables.chosen(registry, names)
    footprints = [
        predict(
            deployment,
            registry,
            _tensors(deployment),
            context=context,
            image=tables.image_size(image),
        )
        for deployment in deployments
    ]
    machines = tables.machines(registry, tiers)
    at_once = at_once or has_combination
    if as_json:
        click.echo(json.dumps(tables.as_json(footprints, machines, at_once=at_once), indent=2))
    elif at_once or len(footprints) == 1:
        console.print(tables.sums(footprints, machines))
    else:
        console.print(tables.fit_table(footprints, machines, console.width))


def _tensors(deployment: Deployment) -> tuple[TensorInfo, ...]:
    """Those of the headers of its files; none, and a line on stderr, where they are damaged."""
    from qualification.core.errors import WeightsError
    from qualification.models.weights import tensors_here

    try:
        return tensors_here(deployment)
    except WeightsError as error:
        name = deployment.identifier
        click.echo(f"{name}: {error}; its figures are those of its declaration", err=True)
        return ()
