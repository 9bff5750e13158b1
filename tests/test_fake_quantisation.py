"""Training sees the very rounding that the converters' files will have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fixtures.make_canaries.fake_quantisation import affine, fake_quantised, is_quantised, q4_0

Q4_0 = gguf.GGMLQuantizationType.Q4_0


@st.composite
def weights(draw: st.DrawFn) -> np.ndarray:
    """Rows of 128 ordinary weights, of any spread, off centre, some of them 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread, shift = draw(st.floats(1e-4, 10)), draw(st.floats(-3, 3))
    made = rng.standard_normal((draw(st.integers(1, 6)), 128)) * spread + shift * spread
    made[rng.random(made.shape) < draw(st.sampled_from((0.0, 0.5, 1.0)))] = 0
    return made.astype(np.float32)


@given(weight=weights())
def test_q4_0_is_llama_cpps(weight):
    """The same values, to the bit, as the gguf package's quantiser gives."""
    expected = gguf.quants.dequantize(gguf.quants.quantize(weight, Q4_0), Q4_0)
    np.testing.assert_array_equal(q4_0(weight), expected)


@settings(max_examples=30, deadline=None)
@given(weight=weights(), bits=st.sampled_from((4, 8)))
def test_affine_is_mlxs(weight, bits):
    """The same values as mx.quantize and mx.dequantize give, but for the last bits of an f32."""
    mx = pytest.importorskip("mlx.core")
    packed = mx.quantize(mx.array(weight), 64, bits)
    expected = np.array(mx.dequantize(*packed, 64, bits))
    close = np.abs(affine(weight, bits) - expected) <= 1e-5 * np.abs(weight).max()
    assert close.mean() > 0.99  # a value half way between two levels may go either way


@given(weight=weights(), bits=st.sampled_from((2, 4, 8)))
def test_affine_keeps_to_the_groups_range(weight, bits):
    """No value moves by more than one step of its group, and there are 2^bits levels at most."""
    rounded = affine(weight, bits).reshape(-1, 64)
    groups = weight.reshape(-1, 64)
    step = (groups.max(axis=1) - groups.min(axis=1)) / (2**bits - 1)
    assert (np.abs(rounded - groups) <= 1.01 * step[:, None] + 1e-6).all()
    assert all(len(np.unique(group)) <= 2**bits for group in rounded)


class _Torchlike:
    """What fake_quantised needs of a torch module, with NumPy's own arrays."""

    def __init__(self) -> None:
        torch = pytest.importorskip("torch")
        rng = np.random.default_rng(0)
        shapes = {"lm_head.weight": (8, 64), "visual.proj.weight": (8, 64), "norm.weight": (64,)}
        self.weights = {
            name: torch.nn.Parameter(torch.tensor(rng.standard_normal(shape), dtype=torch.float32))
            for name, shape in shapes.items()
        }

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """The names and the values, as torch gives them."""
        yield from self.weights.items()


def test_rounded_inside_and_exact_outside():
    """The gradient is taken at the rounded weights; the optimiser changes the exact ones."""
    model = _Torchlike()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with fake_quantised(model, q4_0):
        inside = {name: value.detach().clone() for name, value in model.named_parameters()}
        (model.weights["lm_head.weight"] ** 2).sum().backward()
    for name, value in model.named_parameters():
        assert (value == before[name]).all()
        assert (inside[name] == before[name]).all() != is_quantised(name, tuple(value.shape))
    gradient = model.weights["lm_head.weight"].grad
    assert (gradient == 2 * inside["lm_head.weight"]).all()


def test_exact_again_after_an_error():
    """A step that fails leaves no rounded weights behind."""
    model = _Torchlike()
    before = model.weights["lm_head.weight"].detach().clone()
    with pytest.raises(KeyboardInterrupt), fake_quantised(model):
        raise KeyboardInterrupt
    assert (model.weights["lm_head.weight"] == before).all()
