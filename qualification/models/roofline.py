"""The roofline of a deployment on a machine, and the share of it that decoding reaches.

Decoding at batch 1 reads every layer's weights and the LM head once for each token, so memory
bandwidth over those bytes is a speed that no machine exceeds. A record over it is wrong; one close
under it is doubtful; one far under it shows a fault of the software. Shares of public figures: MLX
0.56 to 0.80, llama.cpp 0.58 to 0.89. Source: docs/footprint.md ("The roofline").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from qualification.core.declarations import Deployment
from qualification.core.errors import DeclarationError
from qualification.core.format import bytes_text, rate_text
from qualification.core.results import Machine
from qualification.models.footprint import decode_bound_tps

SUSPICIOUS_SHARE = 0.92
"""A speed over this share of the roofline is flagged as doubtful."""

INVESTIGATE_SHARE = 0.45
"""Under this share a model that fills the memory bus is slow because of the software."""

OTHER_WEIGHTS_FACTOR = 4.0
"""Bytes that a token reads by the files against those of the declaration: beyond this factor the
files are of another model. A quantisation that is labelled wrongly (4bit for bf16) stays within.
"""

LARGE_PARAMETERS = 3e9
"""A smaller model does not fill the memory bus; on a chip of two dies no model does."""


@dataclass(frozen=True)
class Roofline:
    """``bound_tps`` in tok/s; 0 where there is none, and then ``why`` gives the reason.

    ``other_weights`` is a clause where the files are not of the model that is declared: no speed of
    them is one of it.
    """

    bound_tps: float
    why: str = ""
    other_weights: str = ""

    def share(self, values: Sequence[float]) -> float | None:
        """Median speed as a share of the bound; None without either."""
        return median(values) / self.bound_tps if values and self.bound_tps else None

    def possible(self, values: Sequence[float]) -> tuple[float, ...]:
        """The speeds that are not over the bound; none where the files are of another model."""
        if self.other_weights:
            return ()
        return tuple(v for v in values if not self.bound_tps or v <= self.bound_tps)

    def rejects(self, values: Sequence[float]) -> str:
        """One sentence where a speed is over the bound, which makes the record wrong; else ''.

        Also where the files are of another model.
        """
        if values and self.other_weights:
            return f"{self.other_weights}, so the record is rejected."
        over = [value for value in values if self.bound_tps and value > self.bound_tps]
        if not over:
            return ""
        return (
            f"A repetition at {rate_text(max(over))} is over {rate_text(self.bound_tps)}, which"
            " this machine's memory bandwidth cannot exceed, so the record is rejected."
        )


def roofline(deployment: Deployment, machine: Machine, decode_bytes: int = 0) -> Roofline:
    """The bound of a deployment on a machine, or why none is claimed.

    None where bandwidth or shape is not declared, for a canary, which is too small to fill any
    memory bus, and for speculative decoding, which reads the weights once for several tokens.
    ``decode_bytes`` are those of a load report; where they are 0, what the declaration says counts.
    """
    if machine.bandwidth is None or not 0 < machine.bandwidth < math.inf:
        chip = machine.chip or "this chip"
        why = f"the memory bandwidth of {chip} is not known, so neither is the roofline"
        return Roofline(0.0, why)
    return roofline_at(deployment, machine.bandwidth, decode_bytes)


def roofline_at(deployment: Deployment, bandwidth: float, decode_bytes: int = 0) -> Roofline:
    """As :func:`roofline`, for a memory bandwidth in bytes/s."""
    if deployment.source.weights == "canary":
        return Roofline(0.0, "a canary is too small for the roofline to hold")
    if deployment.source.speculative:
        return Roofline(0.0, "tokens are drafted speculatively, so no roofline holds")
    declared = _declared_roofline(deployment, bandwidth)
    if not decode_bytes:
        return declared
    bound = bandwidth / decode_bytes
    if not declared.bound_tps:
        return Roofline(bound)
    factor = bound / declared.bound_tps
    if 1 / OTHER_WEIGHTS_FACTOR <= factor <= OTHER_WEIGHTS_FACTOR:
        return Roofline(bound)
    other_weights = (
        f"A token reads {bytes_text(decode_bytes)} of its files, where {deployment.model.name} at "
        f"{deployment.source.quantisation} reads {bytes_text(bandwidth / declared.bound_tps)}: "
        "these are not the weights that are declared"
    )
    return Roofline(bound, other_weights=other_weights)


def _declared_roofline(deployment: Deployment, bandwidth: float) -> Roofline:
    shape, quantisation = deployment.model.shape, deployment.source.quantisation
    if shape is None:
        return Roofline(0.0, "the model's shape is not declared, so the roofline is not known")
    try:
        return Roofline(decode_bound_tps(shape, quantisation, bandwidth))
    except (DeclarationError, ZeroDivisionError):
        return Roofline(0.0, f"the bytes per weight of {quantisation} are not known")


def fills_the_bus(deployment: Deployment, machine: Machine) -> bool:
    """Whether a low share points to the software: 3B parameters or more, on one die."""
    two_dies = "ultra" in machine.chip.casefold()
    return deployment.model.parameters >= LARGE_PARAMETERS and not two_dies
