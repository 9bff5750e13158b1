"""``qualify models``: what lies on this disk, what of it fits here, and how to try it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qualification.cli.errors import one_sentence
from qualification.cli.options import in_project
from qualification.cli.stored import declared
from qualification.core.project import Project

if TYPE_CHECKING:
    from rich.console import RenderableType

    from qualification.core.results import Machine
    from qualification.models.own.inventory import DiskModel
    from qualification.models.registry import Registry


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@in_project
@one_sentence
def models(*, folders: tuple[Path, ...], as_json: bool, project: Project) -> None:
    """List the models on this disk, and how to try each.

    In the caches of the hub, LM Studio, Ollama and llama.cpp, or in FOLDERS. Headers are read;
    nothing is loaded or downloaded.
    """
    from qualification.machine.probe import probe
    from qualification.models.own.inventory import inventory, places

    registry = declared(project)
    machine = probe(registry.chips, registry.tiers)
    records = [_record(listed, machine, registry) for listed in inventory(folders)]
    if as_json:
        click.echo(json.dumps(records, indent=2))
        return
    from rich.console import Console

    if not records:
        if where := ", ".join(map(str, folders or places().values())):
            click.echo(f"no model was found in {where}")
        else:
            tools = "the hub, LM Studio, Ollama or llama.cpp"
            click.echo(f"no cache of {tools} is here; name a folder: qualify models FOLDER")
        return
    Console().print(_table(records), soft_wrap=True)  # a command must be copied whole


def _record(listed: DiskModel, machine: Machine, registry: Registry) -> dict[str, Any]:
    """One model as plain JSON types; sizes in bytes."""
    from qualification.core.declarations import Deployment
    from qualification.machine.tiers import tier_of
    from qualification.models.memory_fit import machine_allowance, predict
    from qualification.models.suitability import suitability

    record: dict[str, Any] = {
        "place": listed.place,
        "target": listed.target,
        "size_bytes": listed.size_bytes,
        "problem": listed.problem,
        "doubts": list(listed.doubts),
    }
    if listed.model is None:
        return record
    deployments = [Deployment(listed.model, source) for source in listed.model.sources]
    tier = tier_of(machine, registry.tiers)
    suited = suitability(deployments[0], machine, tier, registry)
    predicted = predict(deployments[0], registry).total_bytes
    allowed = machine_allowance(machine, tier)
    return record | {
        "name": listed.model.name,
        "family": listed.model.family,
        "quantisation": listed.model.sources[0].quantisation,
        "parameters": listed.model.parameters,
        "capabilities": list(listed.model.capabilities),
        "deployments": [deployment.identifier for deployment in deployments],
        "predicted_bytes": round(predicted),
        "headroom_bytes": round(allowed.headroom_bytes(predicted)),
        "fits": suited.meant,
        "why": suited.why,
        "command": f"pytest --model={shlex.quote(listed.target)}",
    }


def _table(records: list[dict[str, Any]]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from qualification.core.format import bytes_text

    lines = []
    for record in records:
        size = bytes_text(record["size_bytes"])
        if record["problem"]:
            text = Text(f"{record['target']} ({record['place']}, {size})")
            text.append(f"\n  cannot be tried: {record['problem']}", style="yellow")
        else:
            sees = "sees" if "vision" in record["capabilities"] else "text only"
            engines = ", ".join(name.rpartition("@")[2] for name in record["deployments"])
            text = Text(f"{record['name']} {record['quantisation']}", style="bold")
            text.append(
                f"  {record['family']}, {size}, {sees}, {record['place']}, on {engines}",
                style="not bold",
            )
            if record["fits"]:
                need, room = bytes_text(record["predicted_bytes"]), record["headroom_bytes"]
                fits = f"fits: {need} predicted, {bytes_text(room)} of headroom"
                text.append(f"\n  {fits}", style="green")
            else:
                text.append(f"\n  not meant for this machine: {record['why']}", style="red")
            for doubt in record["doubts"]:
                text.append(f"\n  doubtful: {doubt}", style="yellow")
            text.append(f"\n  {record['command']}", style="not bold")
        lines.append(text)
    return Group(*lines)
