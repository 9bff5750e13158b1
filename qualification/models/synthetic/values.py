"""Cheap random content of a tensor: one block per type, repeated from an offset per module.

A block has a prime number of items, so that the rows of a matrix begin at different places in it
and differ. The values are those of an untrained model: matrices about N(0, 0.02), factors of norms
about 1; quantised blocks have scales that give the same. Unpacked values are finite and small.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from qualification.models.tensor_headers import TensorInfo

SEED = 2026
DEVIATION = 0.02
_ITEMS = 65_521
"""Items of a block (values, or quantised groups of them): a prime number."""

_CHUNK_BYTES = 16 << 20

_Array = np.ndarray[Any, Any]
_Fields = list[Any]
"""What ``numpy.dtype`` takes: names, types and counts."""


def chunks(tensor: TensorInfo, *, bits: int = 0) -> Iterator[memoryview]:
    """The bytes of ``tensor``, in pieces of some 16 MB; the same in every run.

    ``bits``: of MLX's packed weights, for which scales and biases are chosen.
    """
    block = _block(tensor.dtype, _role(tensor), bits)
    # A module's scales and biases belong together, so all its tensors begin at the same place.
    module = re.sub(r"\.(weight|scales|biases|bias)\Z", "", tensor.name)
    digest = hashlib.sha256(f"{SEED} {module}".encode()).digest()
    place = int.from_bytes(digest[:8], "little") % _ITEMS
    content = np.roll(block, -place).view(np.uint8)
    content = np.tile(content, max(1, min(_CHUNK_BYTES, tensor.bytes) // len(content)))
    remaining = tensor.bytes
    while remaining > 0:
        piece = content[:remaining]
        yield piece.data
        remaining -= len(piece)


def _role(tensor: TensorInfo) -> str:
    """The kind of its values: ``scales``, ``biases``, the factor of a ``norm`` or a ``matrix``."""
    suffix = tensor.name.rpartition(".")[2]
    if suffix in ("scales", "biases"):
        return suffix
    # Every vector that is called a weight is the factor of a norm.
    return "norm" if suffix == "weight" and len(tensor.shape) == 1 else "matrix"


@cache
def _block(dtype: str, role: str, bits: int) -> _Array:
    """One block as an array of ``_ITEMS`` items."""
    random = np.random.default_rng(SEED)
    if dtype == "U32":
        packed: _Array = random.integers(0, 2**32, _ITEMS, dtype=np.uint32)
        return packed
    if dtype in _FLOATS:
        return _FLOATS[dtype](_values(random, role, bits))
    return _QUANTISED[dtype](random)


def _values(random: np.random.Generator, role: str, bits: int) -> _Array:
    matrix: _Array = random.normal(0, DEVIATION, _ITEMS)
    if role == "norm":
        return 1 + matrix
    if role == "matrix":
        return matrix
    # w = scale * q + bias with q uniform over 0 .. 2^bits - 1 and the mean of w at 0
    largest = 2**bits - 1
    scales: _Array = _scale(largest + 1) * random.uniform(0.8, 1.2, _ITEMS)
    return scales if role == "scales" else -scales * largest / 2


def _scale(numbers: int) -> float:
    """Scale at which integers that are uniform over ``numbers`` values have our deviation."""
    return float(DEVIATION / np.sqrt((numbers**2 - 1) / 12))


def _bf16(values: _Array) -> _Array:
    wide: _Array = values.astype(np.float32).view(np.uint32) + np.uint32(0x8000)
    upper: _Array = (wide >> np.uint32(16)).astype(np.uint16)
    return upper


_FLOATS: dict[str, Callable[[_Array], _Array]] = {
    "F32": lambda values: values.astype(np.float32),
    "F16": lambda values: values.astype(np.float16),
    "BF16": _bf16,
}


def _blocks(random: np.random.Generator, fields: _Fields, **scales: float) -> _Array:
    """ggml's blocks: random bytes in every field, and f16 scales near those passed."""
    kind = np.dtype(fields)
    blocks: _Array = np.frombuffer(random.bytes(kind.itemsize * _ITEMS), kind).copy()
    factor = random.uniform(0.8, 1.2, _ITEMS)
    for name, value in scales.items():
        blocks[name] = (value * factor).astype(np.float16)
    return blocks


def _q8_0(random: np.random.Generator) -> _Array:
    return _blocks(random, [("d", "<f2"), ("qs", "u1", 32)], d=_scale(256))


def _q4_0(random: np.random.Generator) -> _Array:
    return _blocks(random, [("d", "<f2"), ("qs", "u1", 16)], d=_scale(16))


def _q5_0(random: np.random.Generator) -> _Array:
    return _blocks(random, [("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)], d=_scale(32))


def _q4_k(random: np.random.Generator) -> _Array:
    """w = d * s * q - dmin * m; six-bit s and m are uniform, so their means are 31.5.

    The variance of s * q is 260² d² together with that of the shift, where dmin = 7.5 d.
    """
    fields: _Fields = [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", 12), ("qs", "u1", 128)]
    d = DEVIATION / 260
    return _blocks(random, fields, d=d, dmin=7.5 * d)


def _q6_k(random: np.random.Generator) -> _Array:
    """w = d * s * (q - 32); the scales s are set to 4 or -4, so that d is not subnormal."""
    fields: _Fields = [("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), ("d", "<f2")]
    blocks = _blocks(random, fields, d=_scale(64) / 4)
    blocks["scales"] = np.where(blocks["scales"] < 0, -4, 4)
    return blocks


_QUANTISED: dict[str, Callable[[np.random.Generator], _Array]] = {
    "Q8_0": _q8_0,
    "Q4_0": _q4_0,
    "Q5_0": _q5_0,
    "Q4_K": _q4_k,
    "Q6_K": _q6_k,
}
