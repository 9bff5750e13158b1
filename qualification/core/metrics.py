"""Every metric that a run records: one entry each, with its unit, its label and its limits."""

from __future__ import annotations

from collections.abc import Iterator

from qualification.core.extensions import extensions
from qualification.core.metric_types import Limits, Metric

CLIENTS = (1, 2, 4, 8)
"""How many clients ask a server at once, one load after the other."""


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
    yield Metric("burst_answers", "count", "lower")
    yield Metric("replayed_answers", "count", "lower")
    yield Metric("cached_answers", "count", "lower")
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
    yield Metric("accuracy_questions", "count", "higher")
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


_SHIPPED = {
    metric.name: metric
    for metric in (
        *_of_a_deployment(),
        *(metric for clients in CLIENTS for metric in _under_load(clients)),
    )
}

OUTSIDE_METRICS: dict[str, Metric] = extensions("metrics", Metric, reserved=_SHIPPED)
"""Name -> metric that another package registers."""

METRICS: dict[str, Metric] = _SHIPPED | OUTSIDE_METRICS
"""Name -> metric, in the order in which they are shown."""

GATE_LIMITS: dict[str, Limits] = {
    name: metric.gate for name, metric in _SHIPPED.items() if metric.gate is not None
}
"""The metrics that a gate measures and judges, with their limits."""

BASELINE_LIMITS: dict[str, Limits] = {
    name: metric.baseline for name, metric in METRICS.items() if metric.baseline is not None
}
"""The metrics that are compared with a baseline, with their limits."""
