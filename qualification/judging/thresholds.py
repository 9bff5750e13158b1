"""The thresholds of a soak test for one subject on one machine, from tier data. Pure.

The memory thresholds, the load limit and the floor of decoding are those of
:mod:`qualification.judging.budgets`; the limit of growth is the memory suite's.
"""

from __future__ import annotations

from dataclasses import dataclass

from qualification.core.declarations import Deployment, Tier
from qualification.core.format import percent_text, rate_text
from qualification.core.results import Machine
from qualification.judging.budgets import DEFAULT_LOAD_LIMIT_S, MAX_TOKEN_DRIFT, load_limit_s
from qualification.judging.memory_growth import GROWTH_LIMIT, GROWTH_LIMIT_CANARY
from qualification.models.memory_fit import DEFAULT_BUDGET, critical_bytes
from qualification.models.roofline import roofline


@dataclass(frozen=True)
class Thresholds:
    """The limits of a soak test, as numbers for this machine.

    ``warning_bytes`` and ``critical_bytes`` are thresholds of the machine's memory. They apply to
    what is used of it and to what the subject holds (``subject_critical_bytes`` if the user named a
    threshold for the subject). 0 is no threshold; ``floor_why`` says why decoding has no floor.
    """

    tier: str
    memory_bytes: float
    warning_bytes: float
    critical_bytes: float
    subject_warning_bytes: float
    subject_critical_bytes: float
    load_limit_s: float
    growth_limit: float
    floor_tps: float = 0.0
    floor_why: str = ""
    drift_limit: float = 0.0


def thresholds_for(
    machine: Machine,
    tier: Tier | None,
    deployment: Deployment | None,
    *,
    subject_critical: float = 0.0,
) -> Thresholds:
    """The thresholds for a deployment, or for an endpoint of which nothing is known (``None``).

    ``subject_critical`` in bytes, if it is not 0, is a threshold for what the subject may hold; its
    warning threshold keeps the tier's ratio of warning to critical.
    """
    canary = deployment is not None and deployment.source.weights == "canary"
    budget = tier.budget if tier else DEFAULT_BUDGET
    total = float(max(0, machine.memory_bytes))
    critical, warning = critical_bytes(tier, total), budget.warning_share * total
    ratio = budget.warning_share / budget.critical_share if budget.critical_share else 1.0
    floor, why = _floor(machine, tier, deployment)
    if deployment is not None:
        load_limit = load_limit_s(deployment, tier)
    else:
        load_limit = tier.load_limit if tier else DEFAULT_LOAD_LIMIT_S
    return Thresholds(
        tier=tier.name if tier else "",
        memory_bytes=total,
        warning_bytes=warning,
        critical_bytes=critical,
        subject_warning_bytes=subject_critical * ratio if subject_critical else warning,
        subject_critical_bytes=subject_critical or critical,
        load_limit_s=load_limit,
        growth_limit=GROWTH_LIMIT_CANARY if canary else GROWTH_LIMIT,
        floor_tps=floor,
        floor_why=why,
        # A canary's requests take tens of milliseconds, which is too short to judge a drift by.
        drift_limit=0.0 if canary else MAX_TOKEN_DRIFT,
    )


def _floor(machine: Machine, tier: Tier | None, deployment: Deployment | None) -> tuple[float, str]:
    """Tokens per second and their source; 0 and the reason if there is no floor."""
    if deployment is None:
        return 0.0, "the model is not known (name its DEPLOYMENT beside --url)"
    if deployment.source.weights == "canary":
        return 0.0, "a canary's speed is recorded, not judged"
    if tier and (declared := deployment.source.speed_floors.get(tier.name, 0.0)):
        return declared, f"declared for {tier.name}"
    roof = roofline(deployment, machine)
    if not roof.bound_tps:
        return 0.0, roof.why
    if tier is None or not tier.speed_floor_share:
        return 0.0, "no tier declares a floor"
    share = tier.speed_floor_share
    why = f"{percent_text(share, digits=0)} of the roofline of {rate_text(roof.bound_tps)}"
    return share * roof.bound_tps, why
