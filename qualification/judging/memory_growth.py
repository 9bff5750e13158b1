"""When to clean up after a request, and what a process holds then.

Pure functions of measurements: the policies can be tried on recorded values. They are those of the
published servers (docs/published-documents.md, "Practices that are measured").
"""

from __future__ import annotations

from collections.abc import Callable

from qualification.core.protocol import MemoryReport

PRESSURE_LIMIT = 80.0
"""Per cent of the machine's memory in use, beyond which the published servers clean up."""

GROWTH_LIMIT_CANARY, GROWTH_LIMIT = 64_000, 1_000_000
"""Bytes per request that a process may grow by, once its caches are full.

Canaries grew by 0 to 16 KB on every backend, and one of their images is 100 KB or more once it is
processed. A real model's image takes megabytes.
"""

Policy = Callable[[float], bool]
"""Per cent of the machine's memory in use -> whether to clean up after this request."""


def under_pressure(percent: float) -> bool:
    """Whether memory pressure is over the limit.

    Source: docs/published-documents.md ("Practices that are measured"), the document "LLaVA MLX
    Model" of 2025-08-01: "Adaptive Memory Pressure Detection: ... when memory usage >80%".
    """
    return percent > PRESSURE_LIMIT


POLICIES: dict[str, Policy] = {
    "never": lambda _percent: False,
    "after_each": lambda _percent: True,
    "under_pressure": under_pressure,
}


def private_bytes(report: MemoryReport) -> int:
    """A process's private memory: anonymous memory, or on macOS its footprint.

    Files that are mapped (weights) come and go with the page cache, so they do not count.
    ValueError where the report has neither.
    """
    for name in ("RssAnon", "phys_footprint", "VmRSS"):
        if name in report.details:
            return report.details[name]
    raise ValueError(f"a process's private memory is not among {sorted(report.details)}")
