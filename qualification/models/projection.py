"""Carries a measured decoding speed to another tier: a projection, and called one.

The deployment is assumed to reach the same share of the other machine's roofline as of the measured
one's, so a projection never exceeds what the other machine's memory bandwidth allows. It is no
measurement: it is never stored, judged or accepted as a baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.declarations import Deployment, Tier
from qualification.core.errors import SelectionError
from qualification.core.format import number, percent_text, rate_text
from qualification.core.results import Machine
from qualification.models.registry import Registry
from qualification.models.roofline import roofline, roofline_at


@dataclass(frozen=True)
class Projection:
    """Speeds in tok/s; low and high differ where a tier's chips have several bandwidths."""

    deployment: str
    tier: str
    low_tps: float
    high_tps: float
    low_bound_tps: float
    high_bound_tps: float
    share: float
    measured_tps: float
    measured_on: str

    @property
    def sentence(self) -> str:
        """Say that it is a projection, from which machine, and its cap."""
        speed = _span(self.low_tps, self.high_tps)
        bound = _span(self.low_bound_tps, self.high_bound_tps)
        share = percent_text(self.share, digits=0)
        return (
            f"Projection, not measured: {self.deployment} on {self.tier} at {speed}, which is"
            f" {share} of its bound of {bound} there, as on {self.measured_on}"
            f" ({rate_text(self.measured_tps)} measured)."
        )


def project(
    deployment: Deployment,
    decode_tps: Sequence[float],
    machine: Machine,
    tier: Tier,
    registry: Registry,
    decode_bytes: int = 0,
) -> Projection:
    """Project the speeds measured on ``machine`` to a tier, whose chips give its bandwidths.

    ``decode_bytes`` are those of the load report. Raises SelectionError where nothing was measured,
    where either bound is not known, and where a measured speed is over its own bound.
    """
    roof = roofline(deployment, machine, decode_bytes)
    name = f"{deployment.identifier} cannot be projected to {tier.name}"
    if not decode_tps:
        raise SelectionError(f"{name}: its decoding speed was not measured")
    if not roof.bound_tps:
        raise SelectionError(f"{name}: {roof.why}")
    if rejected := roof.rejects(decode_tps):
        raise SelectionError(f"{name}: {rejected}")
    rates = [chip.bandwidth for chip in registry.chips if chip.name in tier.chips]
    if not rates:
        raise SelectionError(f"{name}: no memory bandwidth is declared for that tier")
    share = roof.share(decode_tps)
    assert share is not None
    low, high = (
        roofline_at(deployment, rate, decode_bytes).bound_tps for rate in (min(rates), max(rates))
    )
    return Projection(
        deployment=deployment.identifier,
        tier=tier.name,
        low_tps=share * low,
        high_tps=share * high,
        low_bound_tps=low,
        high_bound_tps=high,
        share=share,
        measured_tps=share * roof.bound_tps,
        measured_on=machine.chip or "the measured machine",
    )


def _span(low: float, high: float) -> str:
    return rate_text(high) if number(low) == number(high) else f"{number(low)} to {rate_text(high)}"
