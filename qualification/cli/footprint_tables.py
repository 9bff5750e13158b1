"""What ``qualify footprint`` is asked and shows: tables for a terminal, JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qualification.core.declarations import BackendMemory, Deployment
from qualification.core.errors import SelectionError
from qualification.machine.probe import probe
from qualification.models.footprint import Footprint, gb, together
from qualification.models.footprint_fit import Observation, predicted_bytes
from qualification.models.memory_fit import Room, room, rooms
from qualification.models.registry import Registry

_STYLES = {"fits": "green", "tight": "yellow", "does not fit": "red"}
_PEAK_WIDTH, _MACHINE_WIDTH = 13, 12
"""Characters that a column takes with its frame: of the peak and the edges, of a machine."""


def picture_size(text: str) -> tuple[int, int]:
    """``"1355x710"`` as width and height in pixels; SelectionError for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if found is None:
        raise SelectionError(f"{text!r} is no size of a picture: write one such as 1355x710")
    return int(found[1]), int(found[2])


def chosen(registry: Registry, names: Sequence[str]) -> tuple[list[Deployment], bool]:
    """Return the deployments meant, and whether a declared combination is among the names.

    A name is a deployment's, a model's (all its deployments) or a combination's; none: every
    deployment of real weights. SelectionError for an unknown one.
    """
    everything = registry.deployments()
    if not names:
        return [one for one in everything if one.source.weights != "canary"], False
    combinations = {one.name: one for one in registry.together}
    found: list[Deployment] = []
    combined = False
    for name in names:
        of_model = [one for one in everything if one.model.name == name]
        if name in combinations:
            found += [registry.deployment(each) for each in combinations[name].deployments]
            combined = True
        elif of_model:
            found += of_model
        else:
            found.append(registry.deployment(name))
    return found, combined


def places(registry: Registry, names: Sequence[str]) -> list[Room]:
    """The machines to fit on: those of the tiers named, or of all that have a size, and this one.

    SelectionError for an unknown tier; one of any size (Linux) has this machine's if it is one.
    """
    here = probe(registry.chips, registry.tiers)
    tier = registry.tier(here.tier) if here.tier else None
    own = room("this machine", tier, here.memory_bytes) if here.memory_bytes else None
    wanted = [registry.tier(name) for name in names]
    wanted = wanted or [one for one in registry.tiers if one.vision]
    found = [each for one in wanted for each in rooms(one)]
    if own is not None and (not names or here.tier in names):
        found.append(own)
    if not found:
        raise SelectionError(
            f"machines of {', '.join(names)} have any size and this is none of them: run it there"
        )
    return found


def fit_table(
    footprints: Sequence[Footprint], machines: Sequence[Room], width: int = 120
) -> RenderableType:
    """A row for each deployment, a column for each machine: how much room is left or missing.

    As many machines stand side by side as ``width`` characters have room for.
    """
    tables: list[RenderableType] = []
    names = max((len(one.deployment) for one in footprints), default=0)
    columns = max(1, (width - names - _PEAK_WIDTH) // _MACHINE_WIDTH)
    for start in range(0, len(machines), columns):
        some = machines[start : start + columns]
        table = Table(title="Room after loading, in GB" if start == 0 else None)
        table.add_column("deployment", no_wrap=True)
        table.add_column("peak", justify="right", no_wrap=True)
        for place in some:
            heading = place.name.replace(" ", "\n", 1)
            table.add_column(
                f"{heading}\nof {place.limit_bytes / 1e9:.1f}", justify="right", no_wrap=True
            )
        for one in footprints:
            table.add_row(
                one.deployment,
                f"{one.total_bytes / 1e9:.2f}",
                *(_cell(one, place) for place in some),
            )
        tables.append(table)
    legend = Text.from_markup(
        "[yellow]~[/]: tight, it fits only if applications give up some of their share."
        " [red]Negative[/]: does not fit, so it is never loaded. Under each name, what a model may"
        " take there."
    )
    return Group(*tables, legend)


def _cell(footprint: Footprint, place: Room) -> Text:
    need = footprint.total_bytes
    answer = place.answer(need)
    mark = " ~" if answer == "tight" else "  "
    return Text(f"{(place.limit_bytes - need) / 1e9:.1f}{mark}", style=_STYLES[answer])


def sums(footprints: Sequence[Footprint], machines: Sequence[Room]) -> RenderableType:
    """The parts of each deployment added up, their total, and a sentence for each machine."""
    table = Table(title="Predicted peak memory")
    table.add_column("deployment", no_wrap=True)
    table.add_column("part")
    table.add_column("from")
    table.add_column("GB", justify="right")
    for one in footprints:
        for number, part in enumerate(one.parts):
            name = one.deployment if number == 0 else ""
            table.add_row(name, part.name, part.how, f"{part.bytes / 1e9:.2f}")
        total = f"{one.total_bytes / 1e9:.2f}"
        table.add_row("", "together", "", Text(total, style="bold"), end_section=True)
    if len(footprints) > 1:
        table.add_row("all at once", "", "", Text(gb(together(footprints)), style="bold"))
    answers = Table(box=None, show_header=False)
    need = together(footprints)
    for place in machines:
        answer = place.answer(need)
        spare = place.limit_bytes - need
        words = f"{gb(abs(spare))} {'to spare' if spare >= 0 else 'too much'}"
        answers.add_row(place.name, Text(answer, style=_STYLES[answer]), words)
    return Group(table, answers)


def as_json(
    footprints: Sequence[Footprint], machines: Sequence[Room], *, at_once: bool
) -> dict[str, Any]:
    """The same for a program: bytes, and the answer for each machine."""

    def answers(need: float) -> dict[str, Any]:
        return {
            place.name: {
                "answer": place.answer(need),
                "limit_bytes": round(place.limit_bytes),
                "spare_bytes": round(place.limit_bytes - need),
            }
            for place in machines
        }

    found: dict[str, Any] = {
        "footprints": [
            {
                "deployment": one.deployment,
                "parts": [
                    {"name": part.name, "bytes": round(part.bytes), "how": part.how}
                    for part in one.parts
                ],
                "total_bytes": round(one.total_bytes),
                "machines": answers(one.total_bytes),
            }
            for one in footprints
        ]
    }
    if at_once:
        need = together(footprints)
        found["together"] = {"total_bytes": round(need), "machines": answers(need)}
    return found


def fit_report(
    observations: Sequence[Observation], fitted: Sequence[BackendMemory], registry: Registry
) -> RenderableType:
    """The refitted constants beside the declared ones, and how well they predict what was seen."""
    table = Table(title="Refitted constants (declared ones in brackets)")
    for name in ("backend", "process", "weights_copies", "activations per 1,000", "worst error"):
        table.add_column(name, justify="left" if name == "backend" else "right")
    for one in fitted:
        before = registry.backend(one.name)
        own = [seen for seen in observations if seen.backend == one.name]
        worst = max((predicted_bytes(seen, one) / seen.peak - 1 for seen in own), key=abs)
        table.add_row(
            one.name,
            f"{one.process / 1e6:.0f} MB ({before.process / 1e6:.0f})",
            f"{one.weights_copies:.2f} ({before.weights_copies:.2f})",
            f"{one.activations_per_1000_image_tokens / 1e6:.0f} MB"
            f" ({before.activations_per_1000_image_tokens / 1e6:.0f})",
            f"{worst:+.1%} of {len(own)}",
        )
    return table
