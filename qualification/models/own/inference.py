"""What a model's own files say of it, as a declaration: nothing is loaded, no code is run.

What cannot be told keeps the default of a declaration and is said in the note.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qualification.core.declarations import Capability, Model, Shape, Source
from qualification.core.errors import DeclarationError, WeightsError
from qualification.core.format import count_text
from qualification.core.protocol import BackendName
from qualification.core.weight_files import gguf_parts, how_to_fetch_again
from qualification.models.own.image_budget import image_budget
from qualification.models.own.reading import (
    chat_template,
    count,
    file_type,
    part,
    quantisation_in_name,
)
from qualification.models.own.targets import Target
from qualification.models.quantisations import bytes_per_weight
from qualification.models.tensor_headers import (
    TensorInfo,
    read_file,
    read_folder,
    read_keys,
    refuse_substitute,
)

LONGEST_CONTEXT = 4096
"""Tokens of context that an undeclared model is loaded with, as a declaration without ``context``:
llama.cpp allocates the whole cache, and models claim up to a million."""

_PACKED = {"U32": 32, "I32": 32}
"""Types in which MLX, AWQ and GPTQ pack several quantised weights, and their bits."""

_TORCH_READS = frozenset(
    {
        *("llama", "mistral", "qwen2", "qwen2moe", "lfm2", "qwen3", "qwen3moe", "falcon", "phi3"),
        *("bloom", "stablelm", "gpt2", "starcoder2", "mamba", "nemotron", "gemma2", "gemma3"),
    }
)
"""Architectures of GGUF files that transformers reads, text alone and as float32.

https://huggingface.co/docs/transformers/gguf (5.23; 4.57 has them too)
"""

_VOCABULARY = "tokenizer.ggml.tokens"

_TORCH_FORMATS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def described(target: Target, *, quick: bool = False) -> tuple[Model, str]:
    """The model with a source on every engine that takes such files, and a note on what was read.

    ``quick``: of a GGUF file neither vocabulary nor tensors, so the number of weights is estimated
    from its size. WeightsError where the files are damaged.
    """
    if target.model_file:
        return _of_gguf(target, quick)
    return _of_folder(target)


# --------------------------------------------------------------------------- config.json


def _of_folder(target: Target) -> tuple[Model, str]:
    config = _read(target.folder / "config.json")
    text = part(config, "text_config", "llm_config", "language_config") or config
    tensors = read_folder(target.folder)
    mlx, packed = part(config, "quantization"), part(config, "quantization_config")
    quantisation, bits, backends = _quantisation(config, text, mlx, packed, tensors)
    capabilities = _capabilities(target.folder, config)
    parameters = _parameters(tensors, bits)
    context = count(text, "max_position_embeddings", "seq_length", "max_sequence_length")
    budget = image_budget(config, _image_settings(target.folder))
    model = Model(
        name=_name(target.name, quantisation),
        family=_slug(str(config.get("model_type") or "unknown")).replace("-", "_"),
        parameters=parameters,
        licence="unknown",
        capabilities=capabilities,
        sources=tuple(
            Source(backend=backend, quantisation=quantisation, path=str(target.folder))
            for backend in backends
        ),
        shape=_shape(text),
        image_budget=budget if "vision" in capabilities else None,
        context=min(context or LONGEST_CONTEXT, LONGEST_CONTEXT),
    )
    return model, _note(model, context)


def _image_settings(folder: Path) -> dict[str, Any]:
    """What the image processor's files say, in either of the places where it can be said."""
    settings: dict[str, Any] = {}
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            document = _read(folder / name)
            settings |= {**document, **part(document, "image_processor")}
    return settings


def _quantisation(
    config: Mapping[str, Any],
    text: Mapping[str, Any],
    mlx: Mapping[str, Any],
    packed: Mapping[str, Any],
    tensors: Sequence[TensorInfo],
) -> tuple[str, int, tuple[BackendName, ...]]:
    """Name, bits of a packed weight, and the backends that read it."""
    bits = count(mlx, "bits")
    if bits and any(tensor.name.endswith(".scales") for tensor in tensors):
        mode = str(mlx.get("mode") or "affine")
        return (f"{bits}bit" if mode == "affine" else _slug(mode)), bits, ("mlx",)
    if method := str(packed.get("quant_method") or ""):
        bits = count(packed, "bits", "num_bits")
        name = f"{_slug(method)}-{bits}bit" if bits else _slug(method)
        return name, bits or 4, ("torch",)
    dtypes = Counter[str]()
    for tensor in tensors:
        dtypes[tensor.dtype.casefold()] += tensor.bytes
    declared = str(
        config.get("torch_dtype") or config.get("dtype") or text.get("torch_dtype") or ""
    )
    (common, _), *_ = dtypes.most_common(1)
    name = (
        common if re.fullmatch(r"b?f\d+", common) else _TORCH_FORMATS.get(declared, _slug(common))
    )
    return name, 0, ("mlx", "torch")


def _capabilities(folder: Path, config: Mapping[str, Any]) -> tuple[Capability, ...]:
    """Vision by a tower, a token or a processor of images; video by a token or the template."""
    has_tower = any(key in config for key in ("vision_config", "vision_tower", "mm_vision_tower"))
    has_token = any("image_token" in key for key in config)
    processors = [folder / "preprocessor_config.json", folder / "processor_config.json"]
    has_processor = any(
        "image" in json.dumps(_read(file)).casefold() for file in processors if file.is_file()
    )
    if not (has_tower or has_token or has_processor):
        return ("text_only", "multi_turn")
    several: tuple[Capability, ...] = ("multi_image",) if has_token else ()
    video: tuple[Capability, ...] = ()
    template = chat_template(folder)
    if "video" in template if template else any("video_token" in key for key in config):
        video = ("video",)
    return ("vision", "text_only", *several, *video, "multi_turn")


def _shape(text: Mapping[str, Any]) -> Shape | None:
    """The dimensions of the language model; None where one is missing."""
    heads = count(text, "num_attention_heads", "n_heads")
    hidden = count(text, "hidden_size", "dim")
    experts = count(text, "num_experts_per_tok", "num_experts_per_token", "top_k_experts")
    width = count(text, "intermediate_size", "ff_dim")
    if experts and (of_expert := count(text, "moe_intermediate_size")):
        width = experts * of_expert
    counts = {
        "layers": count(text, "num_hidden_layers", "n_layers"),
        "hidden_size": hidden,
        "intermediate_size": width,
        "heads": heads,
        "kv_heads": count(text, "num_key_value_heads") or heads,
        "head_dim": count(text, "head_dim") or (hidden // heads if heads else 0),
        "vocab_size": count(text, "vocab_size"),
    }
    return Shape(**counts) if all(counts.values()) else None


# --------------------------------------------------------------------------- GGUF


def _of_gguf(target: Target, quick: bool) -> tuple[Model, str]:
    file = target.folder / target.model_file
    keys = read_keys(file, until=_VOCABULARY if quick else "")
    named = quantisation_in_name(target.name)
    tensors = _by_size(file, named, keys) if quick else _tensors(file)
    architecture = str(keys.get("general.architecture", ""))
    own = {
        key.removeprefix(f"{architecture}."): value
        for key, value in keys.items()
        if key.startswith(f"{architecture}.")
    }
    mmproj = target.folder / target.mmproj_file
    projector: tuple[TensorInfo, ...] = ()
    if target.mmproj_file:
        projector = _by_size(mmproj, "F16", {}) if quick else _tensors(mmproj)
    context = count(own, "context_length")
    quantisation = _plain_format(named) if named else _common(tensors)
    sources = [
        Source(
            backend=backend,
            server=server,
            quantisation=quantisation,
            path=str(target.folder),
            model_file=target.model_file,
            mmproj_file=target.mmproj_file,
        )
        for backend, server in (("llamacpp", ""), ("server", "llama.cpp"))
    ]
    capabilities: tuple[Capability, ...] = ("text_only", "multi_turn")
    if projector:
        capabilities = ("vision", "text_only", "multi_image", "multi_turn")
    elif architecture in _TORCH_READS and len(gguf_parts(file)) == 1:
        sources.append(replace(sources[0], backend="torch", quantisation="f32"))
    model = Model(
        name=_name(target.name, quantisation),
        family=_slug(architecture or "unknown").replace("-", "_"),
        parameters=_parameters((*tensors, *projector), 0),
        licence="unknown",
        capabilities=capabilities,
        sources=tuple(sources),
        shape=_gguf_shape(own, count(keys, _VOCABULARY)),
        context=min(context or LONGEST_CONTEXT, LONGEST_CONTEXT),
    )
    return model, _note(model, context)


def _tensors(file: Path) -> tuple[TensorInfo, ...]:
    return tuple(tensor for part in gguf_parts(file) for tensor in read_file(part))


def _by_size(file: Path, quantisation: str, keys: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    """All tensors of a GGUF as one of the files' size."""
    size = sum(part.stat().st_size for part in gguf_parts(file))
    name = quantisation or file_type(keys) or "F16"
    try:
        count = int(size / bytes_per_weight(name))
    except DeclarationError:
        count = size
    return (TensorInfo("all", (count,), name, size),)


def _common(tensors: Sequence[TensorInfo]) -> str:
    """The format of most bytes."""
    sizes = Counter[str]()
    for tensor in tensors:
        sizes[tensor.dtype] += tensor.bytes
    (name, _), *_ = sizes.most_common(1)
    return _plain_format(name)


def _plain_format(name: str) -> str:
    """``f16`` and ``Q4_K_M``, as declarations write them."""
    return name.casefold() if name.upper() in ("F32", "F16", "BF16") else name.upper()


def _gguf_shape(own: Mapping[str, Any], words: int) -> Shape | None:
    heads = count(own, "attention.head_count")
    hidden = count(own, "embedding_length")
    width = count(own, "feed_forward_length")
    if experts := count(own, "expert_used_count"):
        width = experts * (count(own, "expert_feed_forward_length") or width)
    counts = {
        "layers": count(own, "block_count"),
        "hidden_size": hidden,
        "intermediate_size": width,
        "heads": heads,
        "kv_heads": count(own, "attention.head_count_kv") or heads,
        "head_dim": count(own, "attention.key_length") or (hidden // heads if heads else 0),
        "vocab_size": words or count(own, "vocab_size"),
    }
    return Shape(**counts) if all(counts.values()) else None


# --------------------------------------------------------------------------- both


def _parameters(tensors: Sequence[TensorInfo], bits: int) -> int:
    """All weights, those packed into wider numbers unpacked; scales count too, which is 3 %."""
    return sum(
        math.prod(tensor.shape) * (_PACKED.get(tensor.dtype, bits) // bits if bits else 1)
        for tensor in tensors
    )


def _note(model: Model, context: int) -> str:
    """One line on what was read, and what could not be."""
    sees = "text alone: nothing with images is asked"
    if "vision" in model.capabilities:
        sees = "sees images"
    if "video" in model.capabilities:
        sees += " and clips"
    if model.image_budget is not None:
        sees += f", an image up to {model.image_budget.most:,} tokens"
    places = ", ".join(
        f"{model.name}-{source.quantisation}@{source.place}" for source in model.sources
    )
    text = f"{model.name}: family {model.family}, {count_text(model.parameters)} parameters, {sees}"
    text += f", context {model.context:,}"
    if context > model.context:
        text += f" of {context:,}"
    if model.shape is None:
        text += ", no roofline and no key/value cache (its shape cannot be told)"
    return f"{text}; read from its files; deployments: {places}"


def _name(name: str, quantisation: str) -> str:
    """The model's name without the quantisation, which a deployment's identifier repeats."""
    return _slug(re.sub(rf"[-_.]{re.escape(quantisation)}$", "", name, flags=re.IGNORECASE))


def _slug(name: str) -> str:
    """A name for a declaration: letters, digits, dots and hyphens."""
    return re.sub(r"[^a-z0-9.]+", "-", name.casefold()).strip("-.")[:80] or "model"


def _read(file: Path) -> dict[str, Any]:
    refuse_substitute(file)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{file}: cannot be read as JSON ({error}); {how_to_fetch_again(file)}"
        ) from error
    if not isinstance(document, dict):
        raise WeightsError(f"{file}: is no JSON object; {how_to_fetch_again(file)}")
    return document
