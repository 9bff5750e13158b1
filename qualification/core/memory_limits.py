"""What a machine lets a model have of its memory. Pure."""

from __future__ import annotations

from qualification.core.results import MemoryLimit

GIB = 2**30
METAL_SHARES = ((36 * GIB, 2 / 3), (float("inf"), 3 / 4))
"""Memory up to which -> share that Metal wires for its GPU where nobody has set another one.

Read in public reports (96 of 128 GB; about two thirds up to 36 GB), not confirmed on a Mac here:
what MLX or torch report, and ``iogpu.wired_limit_mb``, come before it.
"""


def metal_default(memory_bytes: float) -> MemoryLimit:
    """The limit of a Mac of that much memory on which nothing was changed or asked."""
    share = next(share for limit, share in METAL_SHARES if memory_bytes <= limit)
    return MemoryLimit("Metal's usual working set", int(share * memory_bytes))
