"""The figures in ``results.json``: one entry for each id, the latest."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

from qualification.machine.probe import probe
from qualification.models.loading import load_registry

RESULTS = Path(__file__).with_name("results.json")


def keep(
    identifier: str, value: float, unit: str, command: str, values: tuple[float, ...] = ()
) -> None:
    """Write a figure in place of an earlier one of that id; the others stay.

    ``command`` is what was measured, ``values`` are the single measurements behind ``value``.
    """
    registry = load_registry()
    machine = probe(registry.chips, registry.tiers)
    memory_gb = round(machine.memory_bytes / 1e9, 1)
    entry = {
        "id": identifier,
        "value": round(value, 3),
        "unit": unit,
        "values": [round(value, 3) for value in values],
        "command": command,
        "machine": f"{machine.chip}, {machine.cpu_cores} cores, {memory_gb} GB",
        "date": datetime.date.today().isoformat(),
    }
    figures = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    figures = [figure for figure in figures if figure["id"] != identifier] + [entry]
    text = json.dumps(sorted(figures, key=lambda figure: figure["id"]), indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")
