"""``qualify footprint``: predict peak memory."""

from __future__ import annotations

import json
from pathlib import Path

import click

from qualification.cli.errors import one_sentence
from qualification.core.paths import DECLARATIONS, home


@click.command()
@click.argument("deployments", nargs=-1, metavar="[MODEL]...")
@click.option("--tier", "tiers", multiple=True, help="A tier to fit it on (default: all).")
@click.option("--context", type=click.IntRange(1, 10**7), help="Tokens held (default: declared).")
@click.option("--image", default="1355x710", metavar="WxH", help="Size of the picture in pixels.")
@click.option("--together", "at_once", is_flag=True, help="All of them at the same time.")
@click.option("--json", "as_json", is_flag=True, help="For a program instead of a person.")
@click.option(
    "--fit",
    "measured",
    is_flag=False,
    flag_value=DECLARATIONS / "memory_measured.toml",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="[FILE]",
    help="Refit the constants of memory.toml to measured peaks instead.",
)
@one_sentence
def footprint(
    deployments: tuple[str, ...],
    tiers: tuple[str, ...],
    context: int | None,
    image: str,
    at_once: bool,
    as_json: bool,
    measured: Path | None,
) -> None:
    """Predict peak memory: which model fits which tier, with how much room.

    MODEL is a deployment, a model's name or a combination of memory.toml; without any, all real
    ones. One deployment, or several --together, are shown as a sum.
    """
    from rich.console import Console

    from qualification.cli import footprint_tables as screen
    from qualification.models.footprint_fit import fit, read_observations
    from qualification.models.loading import load_registry
    from qualification.models.memory_fit import predict
    from qualification.models.weights import tensors_here

    registry = load_registry()
    console = Console()
    if measured is not None:
        seen = read_observations(measured)
        names = {one.backend for one in seen}
        fitted = [fit(seen, one) for one in registry.backends if one.name in names]
        console.print(screen.fit_report(seen, fitted, registry))
        return
    chosen, combined = screen.chosen(registry, deployments)
    footprints = [
        predict(
            one,
            registry,
            tensors_here(one, home() / "fixtures"),
            context=context,
            picture=screen.picture_size(image),
        )
        for one in chosen
    ]
    places = screen.places(registry, tiers)
    at_once = at_once or combined
    if as_json:
        found = screen.as_json(footprints, places, at_once=at_once)
        click.echo(json.dumps(found, indent=2))
    elif at_once or len(footprints) == 1:
        console.print(screen.sums(footprints, places))
    else:
        console.print(screen.fit_table(footprints, places, console.width))
