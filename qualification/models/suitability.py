"""Which models are meant for a machine: computed from memory and bandwidth. Pure.

A deployment is meant for a machine if its predicted peak fits under the machine's limits and its
roofline is fast enough to read along. What is declared can only restrict: a tier that is text-only
by its policy, and the tiers that a source names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qualification.core.declarations import Deployment, Tier
from qualification.core.format import rate_text
from qualification.core.results import Machine
from qualification.models.memory_fit import machine_allowance, predict
from qualification.models.registry import Registry
from qualification.models.roofline import roofline

SLOWEST_TPS = 5.0
"""Decoding speed in tok/s that people read along with; a roofline under it is too slow to use.

Source: 238 words a minute (M. Brysbaert, Journal of Memory and Language 109 (2019), 104047), at
about 1.3 tokens a word.
"""


@dataclass(frozen=True)
class Suitability:
    """Whether a deployment is meant for a machine; ``why`` is one phrase with the sum."""

    deployment: str
    meant: bool
    why: str


def suitability(
    deployment: Deployment, machine: Machine, tier: Tier | None, registry: Registry
) -> Suitability:
    """Whether the deployment is meant for this machine, whose tier may be a derived one."""
    restriction = next(_restrictions(deployment, tier, registry), "")
    if restriction:
        return Suitability(deployment.identifier, False, restriction)
    allowed, predicted = machine_allowance(machine, tier), predict(deployment, registry)
    fits = machine.memory_bytes <= 0 or allowed.answer(predicted.total_bytes) != "does not fit"
    why = allowed.sentence([predicted])
    bound = roofline(deployment, machine)
    if bound.bound_tps:
        why += f"; at most {rate_text(bound.bound_tps)} by the memory bandwidth"
        if bound.bound_tps < SLOWEST_TPS:
            fits, why = False, f"{why}, under {rate_text(SLOWEST_TPS)}"
    return Suitability(deployment.identifier, fits, why)


def _restrictions(deployment: Deployment, tier: Tier | None, registry: Registry) -> Iterator[str]:
    """What the declarations forbid, each as a phrase."""
    if tier is None:
        return
    if not tier.vision and "vision" in deployment.model.capabilities:
        yield f"{tier.name} is text-only by its policy"
    named = [declared for declared in registry.tiers if declared.name in deployment.source.tiers]
    if not named:
        return
    kinds = {(declared.system, declared.accelerator) for declared in named}
    is_declared = tier in registry.tiers
    if (is_declared and tier not in named) or (tier.system, tier.accelerator) not in kinds:
        yield f"declared for {', '.join(declared.name for declared in named)} only"
