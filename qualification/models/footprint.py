"""What a deployment costs by arithmetic: bytes in memory at its peak, bytes read per token.

A footprint is a sum of named parts, so that a refusal can be checked by hand. Bytes per token are
a lower bound: real decoding reads more and is slower. Sizes are bytes, bandwidths bytes per second,
rates tokens per second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.backends import ENGINES
from qualification.core.declarations import BackendMemory, Deployment, Model, Shape, Source
from qualification.core.errors import DeclarationError
from qualification.core.format import bytes_text
from qualification.models.families.table import FAMILIES
from qualification.models.image_tokens import image_tokens
from qualification.models.quantisations import LEAST, bytes_per_weight
from qualification.models.tensor_headers import TensorInfo

_KV_BYTES = 2.0

_PATCHES_PER_TOKEN = 4
"""Qwen-VL's: activations per image token were measured with it."""

DEFAULT_IMAGE_SIZE = (1355, 710)
"""Width and height in pixels of the image that a footprint is predicted for unless another is
named: that of the 2025-12-29 recommendations, an ordinary diagram."""


# --------------------------------------------------------------------------- read per token


def decode_bytes_per_token(shape: Shape, quantisation: str, context_tokens: int = 0) -> float:
    """Least bytes that decoding one token at batch 1 reads, by the model's declaration alone.

    Every matrix of every layer and the LM head once, and the fp16 key/value cache of
    ``context_tokens``; norms, biases, the input embedding and the vision tower are left out.
    DeclarationError where the name of the quantisation does not say how large a weight is.
    """
    queries = shape.heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim
    attention = 2 * shape.hidden_size * (queries + keys)
    feed_forward = shape.mlp_matrices * shape.hidden_size * shape.intermediate_size
    weights = shape.layers * (attention + feed_forward) + shape.hidden_size * shape.vocab_size
    cache = key_value_bytes(shape, context_tokens, _KV_BYTES)
    return weights * bytes_per_weight(quantisation) + cache


def decode_bound_tps(
    shape: Shape, quantisation: str, bandwidth: float, context_tokens: int = 0
) -> float:
    """Tokens per second that no machine of this memory bandwidth (bytes/s) can exceed.

    The cache is empty by default, so that the bound holds for every context; a longer context only
    lowers it (by 16 % at 1,024 tokens where every head has keys of its own, as in Phi-3.5-vision).
    Holds at batch 1 without speculative decoding. Source: docs/footprint.md ("The roofline").
    """
    return bandwidth / decode_bytes_per_token(shape, quantisation, context_tokens)


# --------------------------------------------------------------------------- held at the peak


@dataclass(frozen=True)
class Term:
    """One part of a footprint; ``how`` names the inputs of the computation."""

    name: str
    bytes: float
    how: str


@dataclass(frozen=True)
class Footprint:
    """Predicted peak memory of one deployment in a process of its own."""

    deployment: str
    parts: tuple[Term, ...]

    @property
    def total_bytes(self) -> float:
        """Sum of the parts."""
        return sum(part.bytes for part in self.parts)

    @property
    def sentence(self) -> str:
        """The sum, in words: ``5.9 GB = weights 4.7 GB (…) + key/value cache 0.5 GB (…) + …``."""
        terms = " + ".join(
            f"{part.name} {bytes_text(part.bytes)} ({part.how})" for part in self.parts
        )
        return f"{bytes_text(self.total_bytes)} = {terms}"


def footprint(
    deployment: Deployment,
    backend: BackendMemory,
    tensors: Sequence[TensorInfo] = (),
    *,
    context: int | None = None,
    image: tuple[int, int] = DEFAULT_IMAGE_SIZE,
) -> Footprint:
    """Predict the peak of a deployment that fills ``context`` tokens after one image (in px).

    ``tensors`` are those of the headers of its files, or of its declared layout; without any the
    weights are the declared parameters, all quantised: a lower bound. A name that does not say how
    large a weight is counts as the smallest format there is, because leaving the weights out would
    make everything fit. ``context`` is the model's declared one by default; llama.cpp allocates the
    cache when it loads, the others as it fills.
    Source: docs/footprint.md ("Will it fit?"); the constants of ``backend`` are measured.
    """
    model, source = deployment.model, deployment.source
    context = model.context if context is None else context
    parts = [_weights(model, source, backend, tensors)]
    if model.shape is not None:
        parts.append(_cache(model.shape, source, context))
    if "vision" in model.capabilities:
        parts.append(_activations(model, backend, image))
    how = f"{source.place} with its libraries" if backend.source else "not measured: left out"
    parts.append(Term("process", backend.process, how))
    return Footprint(deployment.identifier, tuple(parts))


def together(footprints: Sequence[Footprint]) -> float:
    """Bytes of deployments that run at the same time, each in a process of its own."""
    return sum(footprint.total_bytes for footprint in footprints)


def key_value_bytes(shape: Shape, tokens: int, bytes_per_element: float) -> float:
    """Bytes of the key/value cache: 2 · layers · kv_heads · head_dim · bytes · tokens."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * bytes_per_element * tokens


def predicted_weights_bytes(model: Model, source: Source) -> float:
    """Bytes of all weights if every one were quantised: a lower bound.

    Published files keep some tensors (usually the vision tower) at 16 bits.
    """
    return model.parameters * bytes_per_weight(source.quantisation)


def _weights(
    model: Model, source: Source, backend: BackendMemory, tensors: Sequence[TensorInfo]
) -> Term:
    if not tensors:
        how = f"{model.parameters / 1e9:.2f} billion declared parameters at {source.quantisation}"
        packed = 0.0
        try:
            size = predicted_weights_bytes(model, source)
        except DeclarationError as error:
            size = model.parameters * LEAST
            how += f", at least: {error}"
        if source.quantisation in _REPACKED:
            packed = size
    else:
        how = f"{len(tensors)} tensors"
        size = float(sum(tensor.bytes for tensor in tensors))
        packed = float(sum(tensor.bytes for tensor in tensors if tensor.dtype in _REPACKED))
    resident = size * backend.weights_copies + packed * backend.repacked_copies
    if backend.weights_copies != 1:
        how += f", × {backend.weights_copies:g}"
    if packed and backend.repacked_copies:
        how += f", {bytes_text(packed)} of them repacked"
    return Term("weights", resident, how)


def _activations(model: Model, backend: BackendMemory, image: tuple[int, int]) -> Term:
    family = FAMILIES.get(model.family)
    if family is not None and family.image_tokens is not None:
        tokens = image_tokens(model.family, *image)
    elif model.image_budget is not None:
        tokens = model.image_budget.tokens(*image)
    else:
        return Term("activations", 0.0, f"left out: image tokens of {model.family} are not known")
    how = f"{tokens:,} image tokens of {image[0]} x {image[1]} px"
    if backend.tile_by_tile and family is not None and family.tile_patches:
        patches = family.tile_patches
        tokens = patches // _PATCHES_PER_TOKEN
        how += f", encoded {patches:,} patches at a time, as many as of {tokens:,} tokens"
    size = tokens * backend.activations_per_1000_image_tokens / 1000
    return Term("activations", size, how)


# Formats of which llama.cpp makes a second copy for the processor's matrix units while the file
# stays mapped: https://github.com/ggml-org/llama.cpp/blob/master/ggml/src/ggml-cpu/repack.cpp
_REPACKED = frozenset({"Q4_0", "Q8_0", "Q4_K", "Q4_K_S", "Q4_K_M", "IQ4_NL"})


def _cache(shape: Shape, source: Source, context: int) -> Term:
    # llama.cpp caches in f16 whatever the weights are; the others in the type that they compute in.
    wide = (
        source.quantisation.lower() in ("f32", "fp32", "float32")
        and ENGINES[source.engine].weight_files == "folder"
    )
    size = 4.0 if wide else _KV_BYTES
    return Term(
        "key/value cache",
        key_value_bytes(shape, context, size),
        f"{context:,} tokens at {size:.0f} bytes",
    )
