"""Every metric that a run records."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

CLIENTS = (1, 2, 4, 8)
"""How many clients ask a server at once, one load after the other."""

METRICS: dict[str, tuple[str, Literal["lower", "higher"]]] = {
    "load_s": ("s", "lower"),
    "load_return_s": ("s", "lower"),
    "load_cold_s": ("s", "lower"),
    "ttft_s": ("s", "lower"),
    "preprocess_s": ("s", "lower"),
    "vision_encode_s": ("s", "lower"),
    "prefill_s": ("s", "lower"),
    "e2e_s": ("s", "lower"),
    "prompt_tokens": ("tokens", "lower"),
    "image_tokens": ("tokens", "lower"),
    "prefill_tps": ("tok/s", "higher"),
    "decode_tps": ("tok/s", "higher"),
    "sustained_decode_tps": ("tok/s", "higher"),
    "sustained_ttft_s": ("s", "lower"),
    "token_drift": ("ratio", "lower"),
    "sentinel_drift": ("ratio", "lower"),
    "peak_memory_bytes": ("B", "lower"),
    "peak_device_bytes": ("B", "lower"),
    "reload_s": ("s", "lower"),
    "accuracy": ("share", "higher"),
    "context_retention": ("share", "higher"),
    "context_without_picture": ("share", "higher"),
    "vqa_accuracy": ("share", "higher"),
    "simple_accuracy": ("share", "higher"),
    "generated_vqa_accuracy": ("share", "higher"),
    "generated_simple_accuracy": ("share", "higher"),
    "diagram_recall": ("share", "higher"),
    "diagram_inventions": ("count", "lower"),
    "diagram_repetition": ("count", "lower"),
    "diagram_cut_off": ("share", "lower"),
    "growth_bytes_per_request": ("B/request", "lower"),
    "growth_with_clean_up_bytes_per_request": ("B/request", "lower"),
}
"""Metric -> unit and which direction is better."""

for _number in CLIENTS:
    METRICS |= {
        f"ttft_{_number}_clients_s": ("s", "lower"),
        f"request_{_number}_clients_s": ("s", "lower"),
        f"decode_{_number}_clients_tps": ("tok/s", "higher"),
        f"served_{_number}_clients_tps": ("tok/s", "higher"),
        f"served_{_number}_clients_rps": ("requests/s", "higher"),
        f"fairness_{_number}_clients": ("ratio", "higher"),
        f"slowest_{_number}_clients": ("ratio", "higher"),
        f"failed_{_number}_clients": ("count", "lower"),
        f"wrong_{_number}_clients": ("count", "lower"),
        f"swapped_{_number}_clients": ("count", "lower"),
    }


BASELINE_LIMITS: dict[str, tuple[float, float]] = {
    "decode_tps": (0.01, 0.10),
    "prefill_tps": (0.02, 0.20),
    "ttft_s": (0.02, 0.20),
    "load_s": (0.03, 0.30),
    "peak_memory_bytes": (0.005, 0.05),
    "peak_device_bytes": (0.005, 0.05),
}
"""Metric -> δ₀ and m of JUDGING's table (last column), as shares."""


@dataclass(frozen=True)
class Limits:
    """Shares: a slowdown up to ``noticeable`` (δ₀) is none; one of ``margin`` (m) is too much."""

    noticeable: float
    margin: float

    def __post_init__(self) -> None:
        if not 0 <= self.noticeable < self.margin < math.inf:
            raise ValueError("limits are shares with 0 <= noticeable < margin")

    @property
    def logs(self) -> tuple[float, float]:
        """ln(1 + δ₀) and ln(1 + m)."""
        return math.log1p(self.noticeable), math.log1p(self.margin)


GATE_LIMITS = {
    "decode_tps": Limits(0.01, 0.05),
    "prefill_tps": Limits(0.02, 0.10),
    "ttft_s": Limits(0.02, 0.10),
    "load_s": Limits(0.03, 0.15),
    "peak_memory_bytes": Limits(0.005, 0.03),
    "peak_device_bytes": Limits(0.005, 0.03),
}
"""Metric -> its limits between two environments (JUDGING)."""
