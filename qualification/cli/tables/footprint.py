"""``qualify footprint``: what its arguments name, and its tables and JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qualification.core.declarations import BackendMemory, Deployment
from qualification.core.errors import SelectionError
from qualification.core.format import bytes_text, number
from qualification.machine.probe import probe
from qualification.machine.tiers import tier_of
from qualification.models.footprint import Footprint, together
from qualification.models.footprint_fit import Observation, predicted_bytes
from qualification.models.memory_fit import Allowance, machine_allowance, tier_allowances
from qualification.models.own.inference import described
from qualification.models.own.targets import find
from qualification.models.registry import Registry

_STYLES = {"fits": "green", "tight": "yellow", "does not fit": "red"}
_PEAK_WIDTH, _MACHINE_WIDTH = 13, 12
"""Characters of a column with its frame: of the peak, with the table's edges, and of a machine."""


def image_size(text: str) -> tuple[int, int]:
    """``"1355x710"`` as width and height in pixels; SelectionError for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", text)
    if match is None:
        raise SelectionError(f"{text!r} is not an image size: write one such as 1355x710")
    return int(match[1]), int(match[2])


def chosen(registry: Registry, names: Sequence[str]) -> tuple[list[Deployment], bool]:
    """The deployments that the names mean, and whether a declared combination is among them.

    A name is a deployment's, a model's (all its deployments), a combination's, or what ``pytest
    --model`` takes. Without names, every deployment of real weights. SelectionError for an unknown
    name.
    """
    declared = registry.deployments()
    if not names:
        real = [deployment for deployment in declared if deployment.source.weights != "canary"]
        return real, False
    combinations = {combination.name: combination for combination in registry.together}
    deployments: list[Deployment] = []
    has_combination = False
    for name in names:
        meant = [d for d in declared if name in (d.model.name, d.identifier)]
        if name in combinations:
            deployments += map(registry.deployment, combinations[name].deployments)
            has_combination = True
        else:
            deployments += meant or _undeclared(name) or [registry.deployment(name)]
    return deployments, has_combination


def _undeclared(name: str) -> list[Deployment]:
    """The deployments of a model on this disk that nobody declared; none where it is not there."""
    try:
        model, _ = described(find(name))
    except SelectionError:
        if Path(name).exists():
            raise
        return []
    return [Deployment(model, source) for source in model.sources]


def machines(registry: Registry, tier_names: Sequence[str]) -> list[Allowance]:
    """The machines to fit on: those of the named tiers, or of all that have a size, and this one.

    SelectionError for an unknown tier, and if the named tiers are for machines of any size (Linux)
    and this machine belongs to none of them.
    """
    machine = probe(registry.chips, registry.tiers)
    tiers = [registry.tier(name) for name in tier_names]
    tiers = tiers or [tier for tier in registry.tiers if tier.vision]
    allowances = [size for tier in tiers for size in tier_allowances(tier)]
    if machine.memory_bytes and (not tier_names or machine.tier in tier_names):
        tier = tier_of(machine, registry.tiers)
        allowances.append(machine_allowance(machine, tier))
    if not allowances:
        raise SelectionError(
            f"{', '.join(tier_names)} is for machines of any size, and this machine does not belong"
            " to it: run the command on one that does"
        )
    return allowances


def fit_table(
    footprints: Sequence[Footprint], allowances: Sequence[Allowance], width: int = 120
) -> RenderableType:
    """A row for each deployment, a column for each machine: headroom, negative if it is missing.

    As many machines stand side by side as fit into ``width`` characters.
    """
    tables: list[RenderableType] = []
    names = max((len(footprint.deployment) for footprint in footprints), default=0)
    columns = max(1, (width - names - _PEAK_WIDTH) // _MACHINE_WIDTH)
    for start in range(0, len(allowances), columns):
        group = allowances[start : start + columns]
        table = Table(title="Headroom after loading, in GB" if start == 0 else None)
        table.add_column("deployment", no_wrap=True)
        table.add_column("peak", justify="right", no_wrap=True)
        for machine in group:
            heading = machine.name.replace(" ", "\n", 1)
            limit = f"of {number(machine.limit_bytes / 1e9)}"
            table.add_column(f"{heading}\n{limit}", justify="right", no_wrap=True)
        for footprint in footprints:
            table.add_row(
                footprint.deployment,
                number(footprint.total_bytes / 1e9),
                *(_headroom_cell(footprint, machine) for machine in group),
            )
        tables.append(table)
    legend = Text.from_markup(
        "[yellow]~[/]: tight, it fits only if applications give up some of their share."
        " [red]Negative[/]: does not fit, so it is never loaded. Under each machine's name: the"
        " memory that a model may take there."
    )
    return Group(*tables, legend)


def _headroom_cell(footprint: Footprint, machine: Allowance) -> Text:
    need = footprint.total_bytes
    answer = machine.answer(need)
    suffix = " ~" if answer == "tight" else "  "
    return Text(f"{number(machine.headroom_bytes(need) / 1e9)}{suffix}", style=_STYLES[answer])


def sums(footprints: Sequence[Footprint], allowances: Sequence[Allowance]) -> RenderableType:
    """The parts of each deployment added up, their total, and the answer for each machine."""
    table = Table(title="Predicted peak memory")
    table.add_column("deployment", no_wrap=True)
    table.add_column("part")
    table.add_column("from")
    table.add_column("GB", justify="right")
    for footprint in footprints:
        for index, part in enumerate(footprint.parts):
            name = footprint.deployment if index == 0 else ""
            table.add_row(name, part.name, part.how, number(part.bytes / 1e9))
        total = Text(number(footprint.total_bytes / 1e9), style="bold")
        table.add_row("", "together", "", total, end_section=True)
    need = together(footprints)
    if len(footprints) > 1:
        table.add_row("all at once", "", "", Text(number(need / 1e9), style="bold"))
    answers = Table(box=None, show_header=False)
    for machine in allowances:
        answer, headroom = machine.answer(need), machine.headroom_bytes(need)
        detail = f"{bytes_text(abs(headroom))} {'of headroom' if headroom >= 0 else 'too much'}"
        answers.add_row(machine.name, Text(answer, style=_STYLES[answer]), detail)
    return Group(table, answers)


def as_json(
    footprints: Sequence[Footprint], allowances: Sequence[Allowance], *, at_once: bool
) -> dict[str, Any]:
    """The same for a program: bytes, and the answer for each machine."""

    def answers(need: float) -> dict[str, Any]:
        return {
            machine.name: {
                "answer": machine.answer(need),
                "limit_bytes": round(machine.limit_bytes),
                "headroom_bytes": round(machine.headroom_bytes(need)),
            }
            for machine in allowances
        }

    document: dict[str, Any] = {
        "footprints": [
            {
                "deployment": footprint.deployment,
                "parts": [
                    {"name": part.name, "bytes": round(part.bytes), "how": part.how}
                    for part in footprint.parts
                ],
                "total_bytes": round(footprint.total_bytes),
                "machines": answers(footprint.total_bytes),
            }
            for footprint in footprints
        ]
    }
    if at_once:
        need = together(footprints)
        document["together"] = {"total_bytes": round(need), "machines": answers(need)}
    return document


def fit_report(
    observations: Sequence[Observation], fitted: Sequence[BackendMemory], registry: Registry
) -> RenderableType:
    """The refitted constants beside the declared ones, and how well they predict the peaks."""
    table = Table(title="Refitted constants (declared ones in brackets)")
    for name in ("backend", "process", "weights_copies", "activations per 1,000", "worst error"):
        table.add_column(name, justify="left" if name == "backend" else "right")
    for memory in fitted:
        declared = registry.backend(memory.name)
        measured = [run for run in observations if run.backend == memory.name]
        errors = (predicted_bytes(run, memory) / run.peak - 1 for run in measured)
        table.add_row(
            memory.name,
            f"{bytes_text(memory.process)} ({bytes_text(declared.process)})",
            f"{number(memory.weights_copies)} ({number(declared.weights_copies)})",
            f"{bytes_text(memory.activations_per_1000_image_tokens)}"
            f" ({bytes_text(declared.activations_per_1000_image_tokens)})",
            f"{max(errors, key=abs):+.1%} of {len(measured)}",
        )
    return table
