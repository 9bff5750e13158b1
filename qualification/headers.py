"""One tensor as the header of a file of weights lists it, read from a file or predicted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorInfo:
    """Name, shape (rows first), type as the format calls it (``BF16``, ``Q4_K``) and size."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int
