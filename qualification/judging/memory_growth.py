"""When to clean up after a request, as the seeds' servers do, and what is held then.

Pure functions of what was measured: the policies can be tried on recorded values.
"""

from __future__ import annotations

from collections.abc import Callable

from qualification.core.protocol import MemoryReport

PRESSURE_LIMIT = 80.0
"""Per cent of the machine's memory in use, beyond which the seeds' servers clean up."""

GROWTH_LIMIT_CANARY, GROWTH_LIMIT = 64_000, 1_000_000
"""Bytes per request that a process may grow by, once its caches are full.

Of a canary's, 0 to 16 KB were measured on every backend, and one of its pictures is 100 KB or more
once it is processed. A real model's picture takes megabytes.
"""

Policy = Callable[[float], bool]
"""Per cent of the machine's memory in use -> whether to clean up after this request."""


def under_pressure(percent: float) -> bool:
    """Say whether memory pressure has passed the limit.

    Source: seed 004, "Adaptive Memory Pressure Detection: ... when memory usage >80%".
    """
    return percent > PRESSURE_LIMIT


POLICIES: dict[str, Policy] = {
    "never": lambda _percent: False,
    "after_each": lambda _percent: True,
    "under_pressure": under_pressure,
}


def held_bytes(report: MemoryReport) -> int:
    """Return what a process holds of its own: anonymous memory, or on macOS its footprint.

    Files that are mapped (weights) come and go with the page cache, so they do not count.
    """
    for name in ("RssAnon", "phys_footprint", "VmRSS"):
        if name in report.details:
            return report.details[name]
    raise ValueError(f"none of what a process holds is in {sorted(report.details)}")
