"""What a model costs by arithmetic: bytes of its weights, bytes read per token, and the roofline.

Every figure here is a bound, taken on the side that favours the machine: real weights are larger
and real decoding is slower. Sizes are bytes, bandwidths bytes per second, rates tokens per second.
"""

from __future__ import annotations

from qualification.errors import DeclarationError
from qualification.records import Model, Shape, Source

# MLX affine quantisation keeps one 16-bit scale and one 16-bit bias per group of 64 weights.
_MLX_GROUP_OVERHEAD = 4 / 64

BYTES_PER_WEIGHT: dict[str, float] = {
    "3bit": 3 / 8 + _MLX_GROUP_OVERHEAD,
    "4bit": 4 / 8 + _MLX_GROUP_OVERHEAD,
    "6bit": 6 / 8 + _MLX_GROUP_OVERHEAD,
    "8bit": 8 / 8 + _MLX_GROUP_OVERHEAD,
    "bf16": 2.0,
    "f16": 2.0,
    "f32": 4.0,
    # GGUF block formats: bytes of a block over its weights (ggml-common.h).
    "Q4_0": 18 / 32,
    "Q4_1": 20 / 32,
    "Q5_0": 22 / 32,
    "Q5_1": 24 / 32,
    "Q8_0": 34 / 32,
    "Q6_K": 210 / 256,
    # Mixtures of K formats; the smallest member is taken, so that a bound stays a bound.
    "Q3_K_M": 110 / 256,
    "Q4_K_S": 144 / 256,
    "Q4_K_M": 144 / 256,
    "Q5_K_S": 176 / 256,
    "Q5_K_M": 176 / 256,
}
"""Quantisation, as it is written in a declaration -> bytes per weight."""

_KV_BYTES = 2.0


def bytes_per_weight(quantisation: str) -> float:
    """Bytes that one weight takes; an unknown quantisation is a DeclarationError."""
    try:
        return BYTES_PER_WEIGHT[quantisation]
    except KeyError:
        known = ", ".join(BYTES_PER_WEIGHT)
        raise DeclarationError(
            f"quantisation {quantisation!r} is unknown: write one of {known}, "
            "or add its bytes per weight to footprint.py"
        ) from None


def decode_bytes_per_token(shape: Shape, quantisation: str, context_tokens: int = 1024) -> float:
    """Bytes that decoding one token at batch 1 reads at least.

    Every matrix of every layer and the LM head once, and the fp16 key/value cache of
    ``context_tokens``; norms, biases, the input embedding and the vision tower are left out.
    """
    queries = shape.heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim
    attention = 2 * shape.hidden_size * (queries + keys)
    feed_forward = shape.mlp_matrices * shape.hidden_size * shape.intermediate_size
    weights = shape.layers * (attention + feed_forward) + shape.hidden_size * shape.vocab_size
    cache = 2 * shape.layers * keys * _KV_BYTES * context_tokens
    return weights * bytes_per_weight(quantisation) + cache


def decode_bound_tps(
    shape: Shape, quantisation: str, bandwidth: float, context_tokens: int = 1024
) -> float:
    """Tokens per second that no machine of this memory bandwidth (bytes/s) can exceed.

    Holds for a dense model at batch 1 without speculative decoding.
    """
    return bandwidth / decode_bytes_per_token(shape, quantisation, context_tokens)


def predicted_weights_bytes(model: Model, source: Source) -> float:
    """Bytes of all weights if every one were quantised: a lower bound.

    Published files keep some tensors (usually the vision tower) at 16 bits.
    """
    return model.parameters * bytes_per_weight(source.quantisation)
