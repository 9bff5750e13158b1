"""Which deployment fits which tier."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.errors import SelectionError
from qualification.core.results import Machine, Results
from qualification.models.footprint import Footprint, Term
from qualification.models.memory_fit import Answer, Room, predict, room, rooms
from qualification.models.projection import Projection, project
from qualification.models.registry import Registry
from qualification.results.rows import Row


@dataclass(frozen=True)
class Fit:
    """One real deployment: its predicted peak, and the answer for each machine of ``fit_rooms``."""

    footprint: Footprint
    answers: tuple[tuple[Answer, float], ...]


def fit_rooms(registry: Registry, machine: Machine) -> tuple[Room, ...]:
    """This machine, and the smallest and largest one of each tier that is meant for pictures."""
    tier = next((tier for tier in registry.tiers if tier.name == machine.tier), None)
    own = (room("this machine", tier, machine.memory_bytes),) if machine.memory_bytes > 0 else ()
    return (*own, *(each for one in registry.tiers if one.vision for each in rooms(one)))


def fits(registry: Registry, places: Sequence[Room]) -> tuple[tuple[Fit, ...], tuple[Fit, ...]]:
    """Each real deployment, and each declared combination, on each of these machines."""

    def fit(name: str, parts: Sequence[Footprint]) -> Fit:
        terms = tuple(Term(one.deployment, one.total_bytes, "together") for one in parts)
        whole = parts[0] if len(parts) == 1 else Footprint(name, terms)
        need = whole.total_bytes
        answers = tuple((place.answer(need), place.limit_bytes - need) for place in places)
        return Fit(whole, answers)

    real = [one for one in registry.deployments() if one.source.weights != "canary"]
    single = tuple(fit(one.identifier, [predict(one, registry)]) for one in real)
    combined = tuple(
        fit(one.name, [predict(registry.deployment(name), registry) for name in one.deployments])
        for one in registry.together
    )
    return single, combined


def projections(
    table: Sequence[Row], results: Results, registry: Registry
) -> tuple[Projection, ...]:
    """Measured speeds carried to the deployment's other tiers, where both bounds are known."""
    declared = {one.identifier: one for one in registry.deployments()}
    found = []
    for row in table:
        if row.identifier not in declared or not row.decode_tps or not row.bound_tps:
            continue
        deployment = declared[row.identifier]
        for name in deployment.source.tiers:
            if name != results.session.machine.tier:
                with contextlib.suppress(SelectionError):
                    found.append(
                        project(
                            deployment,
                            row.decode_tps,
                            results.session.machine,
                            registry.tier(name),
                            registry,
                        )
                    )
    return tuple(found)
