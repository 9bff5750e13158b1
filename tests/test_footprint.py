"""Bytes per weight and the roofline, held against the published table and each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.errors import DeclarationError
from qualification.footprint import (
    BYTES_PER_WEIGHT,
    bytes_per_weight,
    decode_bound_tps,
    decode_bytes_per_token,
    predicted_weights_bytes,
)
from qualification.records import Shape
from qualification.registry import load_registry

# The M3 column was computed from the memory's 102.4 GB/s; the chip is sold as 100.
BANDWIDTHS = (102.4e9, 120e9, 273e9, 410e9, 546e9, 819e9)
ROOFLINE = {
    "qwen2.5-vl-3b-4bit@mlx": (1.78, 58, 68, 154, 231, 308, 462),
    "qwen2.5-vl-7b-4bit@mlx": (4.04, 25, 30, 68, 102, 135, 203),
    "qwen2.5-vl-32b-4bit@mlx": (18.3, None, 6.6, 15, 22, 30, 45),
    "smolvlm2-500m-video-bf16@mlx": (0.76, 134, 157, 357, 536, 713, 1070),
    "phi-3.5-vision-4bit@mlx": (2.49, 41, 48, 109, 164, 219, 328),
    "llava-1.6-mistral-7b-4bit@mlx": (4.13, 25, 29, 66, 99, 132, 198),
    "moondream2-bf16@mlx": (2.83, 36, 42, 97, 145, 193, 290),
}
SMALL = Shape(
    layers=2,
    hidden_size=64,
    intermediate_size=128,
    heads=4,
    kv_heads=2,
    head_dim=16,
    vocab_size=264,
)


@pytest.mark.parametrize("identifier", ROOFLINE)
def test_declared_shapes_give_the_published_roofline(identifier: str) -> None:
    """Bytes per token and the bound on every chip agree with the table within its rounding."""
    deployment = load_registry().deployment(identifier)
    shape, quantisation = deployment.model.shape, deployment.source.quantisation
    assert shape is not None
    gigabytes, *bounds = ROOFLINE[identifier]
    assert decode_bytes_per_token(shape, quantisation, 1024) / 1e9 == pytest.approx(
        gigabytes, rel=0.01
    )
    for bandwidth, bound in zip(BANDWIDTHS, bounds, strict=True):
        if bound is not None:
            got = decode_bound_tps(shape, quantisation, bandwidth, 1024)
            assert got == pytest.approx(bound, rel=0.01, abs=0.75)


def test_bytes_per_token_of_a_small_model_counted_by_hand() -> None:
    """Attention, feed-forward, LM head and cache of a small shape, added up by hand."""
    attention = 64 * 64 + 2 * 64 * 32 + 64 * 64
    weights = 2 * (attention + 3 * 64 * 128) + 64 * 264
    cache = 2 * 2 * 32 * 2 * 10
    assert decode_bytes_per_token(SMALL, "f32", context_tokens=10) == 4 * weights + cache


def test_two_matrix_feed_forward_reads_less() -> None:
    """A feed-forward of two matrices saves one of them in every layer."""
    saved = decode_bytes_per_token(SMALL, "bf16") - decode_bytes_per_token(
        replace(SMALL, mlp_matrices=2), "bf16"
    )
    assert saved == 2 * 2 * 64 * 128


@given(
    st.sampled_from(sorted(BYTES_PER_WEIGHT)),
    st.floats(1e9, 1e13),
    st.integers(0, 10_000),
    st.integers(1, 10_000),
)
def test_bound_grows_with_bandwidth_and_shrinks_with_context(
    quantisation: str, bandwidth: float, context: int, more: int
) -> None:
    """Twice the bandwidth is twice the bound; a longer context lowers it."""
    bound = decode_bound_tps(SMALL, quantisation, bandwidth, context)
    assert decode_bound_tps(SMALL, quantisation, 2 * bandwidth, context) == pytest.approx(2 * bound)
    assert decode_bound_tps(SMALL, quantisation, bandwidth, context + more) < bound


def test_unknown_quantisation_is_one_clear_error() -> None:
    """The error says which quantisation and which are known."""
    with pytest.raises(DeclarationError, match=r"'5bits' is unknown: write one of .*4bit"):
        bytes_per_weight("5bits")


@pytest.mark.parametrize(
    ("identifier", "published"),
    [("qwen2.5-vl-7b-4bit@mlx", 5.79e9), ("smolvlm2-500m-video-bf16@mlx", 1.015_024e9)],
)
def test_predicted_weights_are_a_lower_bound(identifier: str, published: float) -> None:
    """Prediction stays under a published size (7B: memory loaded; SmolVLM2: weights file)."""
    deployment = load_registry().deployment(identifier)
    predicted = predicted_weights_bytes(deployment.model, deployment.source)
    assert 0.75 * published < predicted <= published
