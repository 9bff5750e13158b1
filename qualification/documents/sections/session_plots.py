"""The plots of a session's document: what of its rows each of them shows."""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.declarations import Tier
from qualification.core.results import Machine
from qualification.documents.figures import origin
from qualification.documents.model import Plot
from qualification.documents.plots.memory import MemoryEntry, memory_bars
from qualification.documents.plots.phases import PhaseEntry, first_token_phases
from qualification.documents.plots.speed import SpeedPoint, accuracy_by_speed
from qualification.documents.plots.strips import StripEntry, run_strips
from qualification.documents.sections.candidates import accuracy_interval
from qualification.judging.stats.estimators import median
from qualification.models.memory_fit import machine_allowance
from qualification.models.suitability import SLOWEST_TPS
from qualification.results.rows import Row

_MOST = 20
"""Rows of a plot; the table beside it has all."""


def speed_plot(rows: Sequence[Row]) -> Plot | None:
    """Accuracy over speed, each with its own roofline; None without a model that has both."""
    points = []
    for row in rows:
        interval = accuracy_interval(row)
        if interval is not None and row.decode_tps and not row.is_canary:
            points.append(
                SpeedPoint(
                    row.identifier,
                    median(row.decode_tps),
                    interval.mean,
                    interval.lower,
                    interval.upper,
                    max(row.peak_memory_bytes) if row.peak_memory_bytes else None,
                    row.roofline_tps,
                    origin(row),
                )
            )
    return accuracy_by_speed(points[:_MOST], SLOWEST_TPS)


def memory_plot(rows: Sequence[Row], machine: Machine, tier: Tier | None) -> Plot | None:
    """System, server and model stacked against what a model may take; None without a model."""
    entries = []
    for row in rows:
        if row.peak_memory_bytes and not row.is_canary:
            parts = [("model", max(row.peak_memory_bytes))]
            if tier is not None:
                reserved = [("system", tier.budget.system), ("server", tier.budget.server)]
                parts = [*reserved, *parts]
            entries.append(MemoryEntry(row.identifier, tuple(parts), origin(row)))
    if not entries or machine.memory_bytes <= 0:
        return None
    reserved_bytes = tier.budget.system + tier.budget.server if tier else 0.0
    limit = machine_allowance(machine, tier).budget_bytes + reserved_bytes
    return memory_bars(entries[:_MOST], limit, machine.memory_bytes)


def strips_plot(rows: Sequence[Row]) -> Plot | None:
    """Run by run; None where no speed of a model was measured twice."""
    entries = [
        StripEntry(row.identifier, row.decode_tps)
        for row in rows
        if len(row.decode_tps) > 1 and not row.is_canary
    ]
    return run_strips(entries[:_MOST], "decoding speed", "tok/s") if entries else None


_PHASES = {
    "preprocess_s": "preprocess",
    "vision_encode_s": "vision encoder",
    "prefill_s": "prefill",
}


def phases_plot(rows: Sequence[Row]) -> Plot | None:
    """What the time to first token is made of; None where no model's phases were measured."""
    entries = [
        PhaseEntry(
            row.identifier,
            tuple(
                (name, median(row.phases[key]))
                for key, name in _PHASES.items()
                if key in row.phases
            ),
            origin(row),
        )
        for row in rows
        if not row.is_canary and any(key in row.phases for key in _PHASES)
    ]
    return first_token_phases(entries[:_MOST]) if entries else None
