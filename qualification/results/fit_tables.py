"""Which real deployment fits which machine, and the measured speeds projected to other tiers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.errors import SelectionError
from qualification.core.results import Machine
from qualification.machine.tiers import tier_of
from qualification.models.footprint import Footprint, Term
from qualification.models.memory_fit import (
    Allowance,
    Answer,
    machine_allowance,
    predict,
    tier_allowances,
)
from qualification.models.projection import Projection, project
from qualification.models.registry import Registry
from qualification.results.rows import Row


@dataclass(frozen=True)
class Fit:
    """One real deployment: its predicted peak, and each machine's answer with its headroom."""

    footprint: Footprint
    answers: tuple[tuple[Answer, float], ...]


def machine_allowances(registry: Registry, machine: Machine) -> tuple[Allowance, ...]:
    """This machine, and the smallest and largest one of each tier that is meant for images."""
    allowances = []
    if machine.memory_bytes > 0:
        tier = tier_of(machine, registry.tiers)
        allowances.append(machine_allowance(machine, tier))
    for tier in registry.tiers:
        if tier.vision:
            allowances += tier_allowances(tier)
    return tuple(allowances)


def fits(
    registry: Registry, allowances: Sequence[Allowance]
) -> tuple[tuple[Fit, ...], tuple[Fit, ...]]:
    """Each real deployment, and each declared combination, on each of these machines."""

    def fit(footprint: Footprint) -> Fit:
        need = footprint.total_bytes
        return Fit(
            footprint,
            tuple((allowed.answer(need), allowed.headroom_bytes(need)) for allowed in allowances),
        )

    single = tuple(
        fit(predict(deployment, registry))
        for deployment in registry.deployments()
        if deployment.source.weights != "canary"
    )
    combined = tuple(
        fit(_sum(combination.name, combination.deployments, registry))
        for combination in registry.together
    )
    return single, combined


def _sum(name: str, deployments: Sequence[str], registry: Registry) -> Footprint:
    footprints = [predict(registry.deployment(identifier), registry) for identifier in deployments]
    if len(footprints) == 1:
        return footprints[0]
    terms = tuple(Term(part.deployment, part.total_bytes, "together") for part in footprints)
    return Footprint(name, terms)


def projections(
    table: Sequence[Row], machine: Machine, registry: Registry
) -> tuple[Projection, ...]:
    """Measured speeds carried to the deployment's other tiers, where both rooflines are known."""
    declared = {deployment.identifier: deployment for deployment in registry.deployments()}
    projected = []
    for row in table:
        deployment = declared.get(row.identifier)
        if deployment is None or not row.decode_tps or not row.roofline_tps:
            continue
        for name in deployment.source.tiers:
            if name != machine.tier:
                with contextlib.suppress(SelectionError):
                    tier = registry.tier(name)
                    read = row.load.decode_bytes if row.load else 0
                    projected.append(
                        project(deployment, row.decode_tps, machine, tier, registry, read)
                    )
    return tuple(projected)
