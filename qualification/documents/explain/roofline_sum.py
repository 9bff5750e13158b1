"""The roofline of a deployment as a sum that can be checked by hand. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from qualification.core.declarations import Deployment
from qualification.core.format import percent_text
from qualification.core.results import Machine
from qualification.documents.explain.derivation import Step, exact
from qualification.models.footprint import decode_bytes_per_token
from qualification.models.quantisations import bytes_per_weight
from qualification.models.roofline import Roofline, roofline


def bound(deployment: Deployment | None, machine: Machine, decode_bytes: int) -> Roofline:
    """The roofline of a deployment; none is claimed where it is not declared any more."""
    if deployment is None:
        return Roofline(0.0, "the deployment is not declared (any more)")
    return roofline(deployment, machine, decode_bytes)


def roofline_steps(
    deployment: Deployment | None, machine: Machine, decode_bytes: int, speed: float | None
) -> Iterator[Step]:
    """The bytes that a token reads as a sum, the bound, and the share that ``speed`` is of it."""
    roof = bound(deployment, machine, decode_bytes)
    if deployment is None or not roof.bound_tps or machine.bandwidth is None:
        yield Step("roofline", f"none: {roof.why}")
        return
    if decode_bytes:
        size = float(decode_bytes)
        yield Step("a token reads", f"{size:,.0f} B, by the headers of the weight files")
    else:
        assert deployment.model.shape is not None
        size = decode_bytes_per_token(deployment.model.shape, deployment.source.quantisation)
        yield Step("a token reads", _declared_sum(deployment, size))
    yield Step(
        "roofline",
        f"{machine.bandwidth:,.0f} B/s / {size:,.0f} B = {roof.bound_tps:.6g} tok/s",
    )
    if speed is not None:
        share = speed / roof.bound_tps
        yield Step("share of it", f"{exact(speed)} / {roof.bound_tps:.6g} = {percent_text(share)}")


def _declared_sum(deployment: Deployment, size: float) -> str:
    shape, quantisation = deployment.model.shape, deployment.source.quantisation
    assert shape is not None
    per_weight = bytes_per_weight(quantisation)
    layer_only, head_only = replace(shape, layers=1, vocab_size=0), replace(shape, layers=0)
    layer = decode_bytes_per_token(layer_only, quantisation) / per_weight
    head = decode_bytes_per_token(head_only, quantisation) / per_weight
    return (
        f"({shape.layers} layers × {layer:,.0f} + LM head {head:,.0f}) weights × {per_weight:g} B "
        f"= {size:,.0f} B, by the declared shape at {quantisation}"
    )
