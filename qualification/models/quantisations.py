"""The bytes per weight of a quantisation by its name alone, for files that are not on this machine.

Each figure is the least that the name allows: a mixture counts as its smallest format, and what a
file keeps at 16 bits is not counted. Sources:

- the blocks of GGUF: ``ggml-common.h`` of llama.cpp; the formats that ``llama-quantize`` mixes:
  ``llama_tensor_get_type`` in its ``src/llama-quant.cpp``
- Unsloth's dynamic mixtures (``UD-Q4_K_XL``) differ for each model: the smallest format of as many
  bits counts
- MLX: https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from qualification.core.errors import DeclarationError

BLOCKS: dict[str, tuple[int, int]] = {
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "Q1_0": (128, 18),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "IQ1_S": (256, 50),
    "IQ1_M": (256, 56),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98),
    "IQ3_S": (256, 110),
    "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
    "NVFP4": (64, 36),
}
"""Type of GGUF -> values of a block, bytes of a block."""

LEAST = min(size / values for values, size in BLOCKS.values())
"""Bytes per weight of the smallest format: the bound for a name that says nothing."""

_SMALLEST_MEMBER = {
    "IQ2_S": "IQ2_XS",
    "IQ2_M": "IQ2_S",
    "IQ3_XXS": "IQ2_S",
    "IQ3_XS": "IQ3_XXS",
    "IQ3_M": "IQ3_S",
}
"""Mixture -> its smallest format, where the name is that of another format or of none."""

_PLAIN = {
    **dict.fromkeys(("f32", "fp32", "float32"), 4.0),
    **dict.fromkeys(("f16", "fp16", "float16", "bf16", "bfloat16"), 2.0),
    **dict.fromkeys(("f8", "fp8", "float8", "e4m3", "e5m2"), 1.0),
    **dict.fromkeys(("fp4", "nf4"), 0.5),
    # One 8-bit scale for 32 values, for 16 in nvfp4.
    "mxfp8": 33 / 32,
    "mxfp4": 17 / 32,
    "nvfp4": 9 / 16,
}

_BITS = re.compile(r"(\d+(?:\.\d+)?)(?:bits?|bpw)|u?int(\d+)|w(\d+)a\d+|q(\d+)")
_MLX_BITS = re.compile(r"([1-9])bit")
_MLX_DETAIL = re.compile(r"dwq|affine|gs?[1-9]\d{0,2}|\d+")
_MLX_MIXED = re.compile(r"mixed[_-](\d)[_-](\d)")


def bytes_per_weight(quantisation: str) -> float:
    """The least bytes of one weight; DeclarationError where the name does not say.

    A name is read part by part (``gptq-int4``, ``MXFP4-Q8``), and the smallest part counts.
    """
    name = re.sub(r"(\d)-(bits?|bpw)\b", r"\1\2", quantisation.lower())
    parts = re.split(r"[-+]", name)
    if (exact := _mlx(name, parts)) is not None:
        return exact
    dynamic = [size for part in parts for size in _dynamic(part)] if "ud" in parts else []
    sizes = dynamic or list(_sizes(parts))
    if not sizes:
        raise DeclarationError(f"the bytes per weight of {quantisation} are not known")
    return min(sizes)


def _mlx(name: str, parts: list[str]) -> float | None:
    """MLX's affine format: the bits, and a 16-bit scale and bias for each group of weights."""
    if mixed := _MLX_MIXED.search(name):
        return min(map(int, mixed.groups())) / 8 + 4 / 64
    bits = _MLX_BITS.fullmatch(parts[0])
    if bits is None or not all(map(_MLX_DETAIL.fullmatch, parts[1:])):
        return None
    group = next((int(part.lstrip("gs")) for part in parts[1:] if part.startswith("g")), 64)
    return int(bits[1]) / 8 + 4 / group


def _dynamic(part: str) -> Iterator[float]:
    """The formats of GGUF that have as many bits as one of Unsloth's mixtures."""
    if match := re.match(r"[it]?q(\d)_", part):
        pattern = re.compile(rf"[IT]?Q{match[1]}_|MXFP{match[1]}|NVFP{match[1]}")
        yield from (
            size / values for type_, (values, size) in BLOCKS.items() if pattern.match(type_)
        )


def _sizes(parts: list[str]) -> Iterator[float]:
    for part in parts:
        size = _size(part)
        yield from (size,) if size else filter(None, map(_size, part.split("_")))


def _size(part: str) -> float:
    """Bytes per weight by one part of a name; 0 where it does not say."""
    if part in _PLAIN:
        return _PLAIN[part]
    if match := _BITS.fullmatch(part):
        bits = float(next(filter(None, match.groups())))
        return bits / 8 if 1 <= bits <= 32 else 0.0
    word = part.upper()
    while word:
        word = _SMALLEST_MEMBER.get(word, word)
        if word in BLOCKS:
            values, size = BLOCKS[word]
            return size / values
        word = word.rpartition("_")[0]
    return 0.0
