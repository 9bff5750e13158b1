"""The type that ``llama-quantize`` gives each matrix of a text model.

After ``llama_tensor_get_type`` of llama.cpp (``src/llama-quant.cpp``) without an importance
matrix, for dense models under 70 billion parameters: the output gets more bits, and in Q4_K_M so do
half of the value and down projections. Rows that are no multiple of a block fall back as there.
"""

from __future__ import annotations

from qualification.core.errors import DeclarationError
from qualification.models.quantisations import BLOCKS

_BASE = {
    "f32": "F32",
    "f16": "F16",
    "bf16": "BF16",
    "Q8_0": "Q8_0",
    "Q4_0": "Q4_0",
    "Q4_K_M": "Q4_K",
}
_FALLBACK = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}


def require_known(quantisation: str) -> None:
    """Raise DeclarationError for a quantisation whose mixture is not written down here."""
    if quantisation not in _BASE:
        raise DeclarationError(
            f"the types of a GGUF in {quantisation!r} are not known: known are {', '.join(_BASE)}"
        )


def text_type(
    quantisation: str, name: str, shape: tuple[int, ...], *, layers: int, tied: bool
) -> str:
    """Type of the tensor ``name`` (llama.cpp's) of a text model; norms and biases stay F32."""
    base = _BASE[quantisation]
    if len(shape) < 2:
        return "F32"
    if base in ("F32", "F16", "BF16"):
        return base
    if name == "output.weight" or (tied and name == "token_embd.weight"):
        return fitting(base if base == "Q8_0" else "Q6_K", shape)
    if name.startswith("blk.") and base == "Q4_K":
        return fitting(_in_layer(name, layers), shape)
    return fitting(base, shape)


def _in_layer(name: str, layers: int) -> str:
    """Q6_K for the first and last eighth of the layers and for every third one between."""
    layer = int(name.split(".")[1])
    eighth = layers // 8
    more = layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
    return "Q6_K" if more and name.endswith((".attn_v.weight", ".ffn_down.weight")) else "Q4_K"


def fitting(kind: str, shape: tuple[int, ...]) -> str:
    """``kind``, or llama-quantize's fallback where a row is no multiple of its block."""
    while shape[-1] % BLOCKS[kind][0]:
        kind = _FALLBACK.get(kind, "F16")
    return kind
