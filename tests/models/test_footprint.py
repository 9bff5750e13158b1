"""Bytes per weight, the roofline and footprints, compared with published figures."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from qualification.core.declarations import BackendMemory, Shape, Source
from qualification.core.errors import DeclarationError
from qualification.core.paths import DECLARATIONS
from qualification.core.protocol import BackendName
from qualification.models.footprint import (
    Footprint,
    decode_bound_tps,
    decode_bytes_per_token,
    footprint,
    predicted_weights_bytes,
    together,
)
from qualification.models.footprint_fit import Observation, fit, predicted_bytes, read_observations
from qualification.models.loading import load_registry
from qualification.models.quantisations import LEAST
from qualification.models.tensor_headers import TensorInfo

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
    st.sampled_from(["4bit", "Q4_K_M", "UD-Q2_K_XL", "fp8", "bf16", "f32"]),
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


def test_an_unknown_quantisation_counts_as_the_smallest_format_and_says_so() -> None:
    """Left out, its weights would fit everywhere; a footprint is a lower bound as always."""
    unknown = replace(SEVEN, source=replace(SEVEN.source, quantisation="AutoRound"))
    prediction = footprint(unknown, BACKEND)
    assert terms(prediction)["weights"] == SEVEN.model.parameters * LEAST
    assert "at least: the bytes per weight of AutoRound are not known" in prediction.sentence
    with pytest.raises(DeclarationError, match="AutoRound are not known"):
        decode_bytes_per_token(SMALL, "AutoRound")


@pytest.mark.parametrize(
    ("identifier", "published"),
    [("qwen2.5-vl-7b-4bit@mlx", 5.79e9), ("smolvlm2-500m-video-bf16@mlx", 1.015_024e9)],
)
def test_predicted_weights_are_a_lower_bound(identifier: str, published: float) -> None:
    """Prediction stays under a published size (7B: memory loaded; SmolVLM2: weights file)."""
    deployment = load_registry().deployment(identifier)
    predicted = predicted_weights_bytes(deployment.model, deployment.source)
    assert 0.75 * published < predicted <= published


# --------------------------------------------------------------------------- footprints

BACKEND = BackendMemory("mlx", 4e8, 1.0, 1.5e8, "assumed", repacked_copies=1.0)
SEVEN = load_registry().deployment("qwen2.5-vl-7b-4bit@mlx")


def terms(prediction: Footprint) -> dict[str, float]:
    """Return the parts by name."""
    return {part.name: part.bytes for part in prediction.parts}


def test_a_footprint_is_the_sum_of_four_parts_counted_by_hand() -> None:
    """Weights, cache, activations and process of the 7B."""
    prediction = footprint(SEVEN, BACKEND, context=1000, image=(280, 280))
    assert terms(prediction) == pytest.approx(
        {
            "weights": 8_292_166_656 * 0.5625,
            "key/value cache": 2 * 28 * 4 * 128 * 2 * 1000,
            "activations": 0.1 * 1.5e8,
            "process": 4e8,
        }
    )
    assert prediction.total_bytes == pytest.approx(sum(terms(prediction).values()))


def test_the_sentence_shows_the_sum() -> None:
    """A reader can add it up."""
    sentence = footprint(SEVEN, BACKEND, context=1000, image=(280, 280)).sentence
    units = {"GB": 1e9, "MB": 1e6}
    sizes = re.findall(r"([0-9.]+) ([GM]B)", sentence)
    total, *parts = [float(size) * units[unit] for size, unit in sizes]
    assert total == pytest.approx(sum(parts), rel=0.005)
    assert "1,000 tokens at 2 bytes" in sentence
    assert "100 image tokens of 280 x 280 px" in sentence


def test_headers_come_before_the_declared_parameters() -> None:
    """Files keep tensors at 16 bits that a declaration counts at four."""
    tensors = [TensorInfo("a", (10,), "F16", 20), TensorInfo("b", (64,), "Q4_0", 36)]
    assert terms(footprint(SEVEN, BACKEND, tensors))["weights"] == 20 + 36 + 36
    once = replace(BACKEND, repacked_copies=0.0)
    assert terms(footprint(SEVEN, once, tensors))["weights"] == 56


@pytest.mark.parametrize(
    ("backend", "quantisation", "size"),
    [
        ("torch", "f32", 4),
        ("torch", "float32", 4),
        ("torch", "bf16", 2),
        ("llamacpp", "f32", 2),
        ("mlx", "4bit", 2),
    ],
)
def test_the_cache_has_the_type_that_a_backend_computes_in(
    backend: BackendName, quantisation: str, size: int
) -> None:
    """llama.cpp keeps f16 whatever the weights are."""
    deployment = replace(SEVEN, source=Source(backend, quantisation))
    prediction = footprint(deployment, BACKEND, context=10)
    assert terms(prediction)["key/value cache"] == 2 * 28 * 4 * 128 * size * 10


def test_a_family_whose_images_are_not_known_says_so() -> None:
    """It is left out of the sum in words and not silently."""
    unknown = replace(SEVEN, model=replace(SEVEN.model, family="other"))
    prediction = footprint(unknown, BACKEND)
    assert terms(prediction)["activations"] == 0
    assert "image tokens of other are not known" in prediction.sentence


@given(st.integers(1, 100_000), st.integers(1, 100_000), st.integers(1, 4000), st.integers(1, 4000))
def test_a_longer_context_takes_more_and_nothing_is_negative(
    context: int, more: int, width: int, height: int
) -> None:
    """Each part is zero or more; only the cache grows with the context."""
    small = footprint(SEVEN, BACKEND, context=context, image=(width, height))
    large = footprint(SEVEN, BACKEND, context=context + more, image=(width, height))
    assert all(part.bytes >= 0 for part in small.parts)
    assert large.total_bytes > small.total_bytes
    assert together([small, large]) == pytest.approx(small.total_bytes + large.total_bytes)


@pytest.mark.parametrize(
    ("identifier", "published"),
    [
        ("qwen2.5-vl-7b-4bit@mlx", (5.79e9, 5.79e9)),
        ("qwen2.5-vl-3b-4bit@mlx", (3.51e9, 3.51e9)),
        ("qwen2.5-vl-32b-4bit@mlx", (24e9, 28e9)),
        ("qwen2.5-vl-7b-8bit@mlx", (12e9, 12e9)),
    ],
)
def test_predictions_are_near_the_published_memory(
    identifier: str, published: tuple[float, float]
) -> None:
    """The 2025-12-29 recommendations' figures of a Mac, some of them estimates: within 15 %."""
    registry = load_registry()
    prediction = footprint(registry.deployment(identifier), registry.backend("mlx"))
    assert 0.85 * published[0] < prediction.total_bytes < 1.15 * published[1]


# --------------------------------------------------------------------------- the refit

MEASURED = DECLARATIONS / "memory_measured.toml"


@pytest.mark.parametrize("name", ["torch", "mlx", "llamacpp"])
def test_declared_constants_are_those_that_fit_what_was_measured(name: str) -> None:
    """Every constant comes from a measurement."""
    declared = load_registry().backend(name)
    fitted = fit(read_observations(MEASURED), declared)
    assert declared.process == pytest.approx(fitted.process, rel=0.02)
    assert declared.weights_copies == pytest.approx(fitted.weights_copies, abs=0.01)
    assert declared.activations_per_1000_image_tokens == pytest.approx(
        fitted.activations_per_1000_image_tokens, rel=0.02
    )


def test_every_measured_worker_is_predicted_within_ten_per_cent() -> None:
    """Or 40 MB: a canary is smaller than the variation of its process."""
    registry = load_registry()
    for observation in read_observations(MEASURED):
        prediction = predicted_bytes(observation, registry.backend(observation.backend))
        error = abs(prediction - observation.peak)
        assert error < max(0.1 * observation.peak, 40e6), observation.run


@given(
    st.floats(1e7, 1e9),
    st.floats(0.5, 2.5),
    st.floats(0, 1e9),
    st.lists(st.tuples(st.floats(1e8, 1e10), st.integers(0, 4000)), min_size=4, max_size=9),
)
def test_a_fit_finds_what_made_its_observations(
    process: float, copies: float, activations: float, runs: list[tuple[float, int]]
) -> None:
    """Observations without noise are predicted again."""
    truth = BackendMemory("mlx", process, copies, activations, "")
    blank = [Observation("mlx", "", weights, 1e6, tokens, 1.0) for weights, tokens in runs]
    observations = [replace(run, peak=predicted_bytes(run, truth)) for run in blank]
    fitted = fit(observations, replace(truth, process=0.0))
    for observation in observations:
        assert predicted_bytes(observation, fitted) == pytest.approx(observation.peak, rel=1e-3)


def test_constants_that_observations_do_not_determine_stay_as_declared() -> None:
    """One size of weights and no image: only the process is fitted; no observation: nothing is."""
    before = BackendMemory("mlx", 4e8, 1.1, 2e8, "")
    fitted = fit([Observation("mlx", "", 1e9, 0.0, 0, 1.5e9)], before)
    assert (fitted.weights_copies, fitted.activations_per_1000_image_tokens) == (1.1, 2e8)
    assert fitted.process == pytest.approx(4e8)
    assert fit([], before) == before


@given(
    st.lists(
        st.tuples(st.floats(1e8, 1e10), st.integers(0, 4000), st.floats(1e7, 1e11)),
        min_size=1,
        max_size=9,
    )
)
def test_no_fitted_constant_is_negative_and_no_other_fits_better(
    runs: list[tuple[float, int, float]],
) -> None:
    """Whatever was measured, the squares are as small as those of scipy's NNLS."""
    observations = [Observation("mlx", "", size, 0.0, tokens, peak) for size, tokens, peak in runs]
    fitted = fit(observations, BackendMemory("mlx", 0.0, 0.0, 0.0, ""))
    constants = (fitted.process, fitted.weights_copies, fitted.activations_per_1000_image_tokens)
    assert min(constants) >= 0
    columns = np.array([[1.0, size / 1e9, tokens / 1e3] for size, tokens, _ in runs])
    is_fitted = [True, len({run[0] for run in runs}) > 1, len({run[1] for run in runs}) > 1]
    peaks = np.array([peak for *_, peak in runs])
    least = nnls(columns[:, is_fitted], peaks / 1e9)[1] * 1e9
    misses = [
        peak - predicted_bytes(run, fitted) for run, peak in zip(observations, peaks, strict=True)
    ]
    assert np.linalg.norm(misses) == pytest.approx(least, rel=1e-6, abs=1e-6 * peaks.max())
