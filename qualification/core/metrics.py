"""Every metric that a run records: one entry each, with its unit, its label and its limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

CLIENTS = (1, 2, 4, 8)
"""How many clients ask a server at once, one load after the other."""

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Limits:
    """A slowdown up to ``noticeable`` (δ₀) counts as none, one of ``margin`` (m) as a regression.

    Both are shares: the indifference bound and the equivalence bound of docs/glossary.md.
    """

    noticeable: float
    margin: float

    def __post_init__(self) -> None:
        if not 0 <= self.noticeable < self.margin < math.inf:
            raise ValueError("limits are shares with 0 <= noticeable < margin")

    @property
    def logs(self) -> tuple[float, float]:
        """ln(1 + δ₀) and ln(1 + m)."""
        return math.log1p(self.noticeable), math.log1p(self.margin)


@dataclass(frozen=True)
class Metric:
    """``unit`` is SI or a count; ``label`` is its name in a sentence ('' if no sentence names it).

    ``gate`` are the limits between two interleaved environments, ``baseline`` those against stored
    sessions, which are wider (docs/judging.md, "Limits of each metric"). None: it is not judged.
    """

    name: str
    unit: str
    better: Better
    label: str = ""
    gate: Limits | None = None
    baseline: Limits | None = None


def _of_a_deployment() -> Iterator[Metric]:
    yield Metric("load_s", "s", "lower", "load time", Limits(0.03, 0.15), Limits(0.03, 0.30))
    yield Metric("load_return_s", "s", "lower")
    yield Metric("load_cold_s", "s", "lower")
    yield Metric(
        "ttft_s", "s", "lower", "time to first token", Limits(0.02, 0.10), Limits(0.02, 0.20)
    )
    yield Metric("preprocess_s", "s", "lower")
    yield Metric("vision_encode_s", "s", "lower")
    yield Metric("prefill_s", "s", "lower")
    yield Metric("e2e_s", "s", "lower")
    yield Metric("prompt_tokens", "tokens", "lower")
    yield Metric("image_tokens", "tokens", "lower")
    yield Metric(
        "prefill_tps", "tok/s", "higher", "prefill speed", Limits(0.02, 0.10), Limits(0.02, 0.20)
    )
    yield Metric(
        "decode_tps", "tok/s", "higher", "decoding speed", Limits(0.01, 0.05), Limits(0.01, 0.10)
    )
    yield Metric("sustained_decode_tps", "tok/s", "higher")
    yield Metric("sustained_ttft_s", "s", "lower")
    yield Metric("token_drift", "ratio", "lower")
    yield Metric("sentinel_drift", "ratio", "lower")
    yield Metric(
        "peak_memory_bytes", "B", "lower", "peak memory", Limits(0.005, 0.03), Limits(0.005, 0.05)
    )
    yield Metric(
        "peak_device_bytes",
        "B",
        "lower",
        "peak GPU memory",
        Limits(0.005, 0.03),
        Limits(0.005, 0.05),
    )
    yield Metric("reload_s", "s", "lower")
    yield Metric("accuracy", "share", "higher")
    yield Metric("context_retention", "share", "higher")
    yield Metric("context_without_image", "share", "higher")
    yield Metric("vqa_accuracy", "share", "higher")
    yield Metric("simple_accuracy", "share", "higher")
    yield Metric("generated_vqa_accuracy", "share", "higher")
    yield Metric("generated_simple_accuracy", "share", "higher")
    yield Metric("diagram_recall", "share", "higher")
    yield Metric("diagram_hallucinations", "count", "lower")
    yield Metric("diagram_repetition", "count", "lower")
    yield Metric("diagram_truncated", "share", "lower")
    yield Metric("growth_bytes_per_request", "B/request", "lower")
    yield Metric("growth_with_clean_up_bytes_per_request", "B/request", "lower")


def _under_load(clients: int) -> Iterator[Metric]:
    yield Metric(f"ttft_{clients}_clients_s", "s", "lower")
    yield Metric(f"request_{clients}_clients_s", "s", "lower")
    yield Metric(f"decode_{clients}_clients_tps", "tok/s", "higher")
    yield Metric(f"served_{clients}_clients_tps", "tok/s", "higher")
    yield Metric(f"served_{clients}_clients_rps", "requests/s", "higher")
    yield Metric(f"fairness_{clients}_clients", "ratio", "higher")
    yield Metric(f"slowest_{clients}_clients", "ratio", "higher")
    yield Metric(f"failed_{clients}_clients", "count", "lower")
    yield Metric(f"wrong_{clients}_clients", "count", "lower")
    yield Metric(f"swapped_{clients}_clients", "count", "lower")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_of_a_deployment(),
        *(metric for clients in CLIENTS for metric in _under_load(clients)),
    )
}
"""Name -> metric, in the order in which they are shown."""

GATE_LIMITS: dict[str, Limits] = {
    name: metric.gate for name, metric in METRICS.items() if metric.gate is not None
}
"""The metrics that a gate judges, with their limits."""

BASELINE_LIMITS: dict[str, Limits] = {
    name: metric.baseline for name, metric in METRICS.items() if metric.baseline is not None
}
"""The metrics that are compared with a baseline, with their limits."""
