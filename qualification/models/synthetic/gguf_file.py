"""Writes a GGUF tensor by tensor: the metadata of the family's canary, at the real model's sizes.

The canary's file has the tokenizer, the chat template and every key that llama.cpp needs for the
family; only the figures are replaced, by those of the published config.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qualification.models.families.parts import Config, head_width
from qualification.models.families.table import gguf_of
from qualification.models.layouts.gguf_files import mmproj_type, text_config
from qualification.models.synthetic.values import chunks
from qualification.models.synthetic.vocabulary import padding
from qualification.models.tensor_headers import TensorInfo

_FILE_TYPES = {
    "F32": 0,
    "F16": 1,
    "Q4_0": 2,
    "Q8_0": 7,
    "Q4_K_M": 15,
    "BF16": 32,
}
"""Quantisation, in capitals -> llama.h's ``llama_ftype``."""

_NORMAL_TOKEN = 1
"""llama.h's ``LLAMA_TOKEN_TYPE_NORMAL``."""

_CLIP = "clip.vision."


def write_text_model(
    file: Path, canary: Path, tensors: Sequence[TensorInfo], config: Config, quantisation: str
) -> None:
    """Write a text model; ``canary`` is the GGUF whose tokenizer and template it gets."""
    metadata = _metadata(canary)
    text, architecture = text_config(config), gguf_of(config).architecture
    at = f"{architecture}."
    epsilon = "layer_norm_epsilon" if architecture == "phi2" else "layer_norm_rms_epsilon"
    figures: dict[str, Any] = {
        "general.name": f"{canary.parent.parent.name}, random values",
        "general.file_type": _FILE_TYPES[quantisation.upper()],
        f"{at}context_length": text["max_position_embeddings"],
        f"{at}embedding_length": text["hidden_size"],
        f"{at}block_count": text["num_hidden_layers"],
        f"{at}feed_forward_length": text["intermediate_size"],
        f"{at}attention.head_count": text["num_attention_heads"],
        f"{at}attention.head_count_kv": text["num_key_value_heads"],
        f"{at}attention.{epsilon}": text["rms_norm_eps"],
        f"{at}rope.freq_base": text["rope_theta"],
        f"{at}vocab_size": text["vocab_size"],
        f"{at}rope.dimension_count": int(head_width(text) * text.get("partial_rotary_factor", 1)),
    }
    if sections := (text.get("rope_scaling") or {}).get("mrope_section"):
        figures[f"{at}rope.dimension_sections"] = [*sections, 0]
    tokens = metadata["tokenizer.ggml.tokens"][0]
    more = padding(len(tokens), text["vocab_size"])
    figures["tokenizer.ggml.tokens"] = [*tokens, *more]
    types = metadata["tokenizer.ggml.token_type"][0]
    figures["tokenizer.ggml.token_type"] = [*types, *[_NORMAL_TOKEN] * len(more)]
    if scores := metadata.get("tokenizer.ggml.scores"):
        figures["tokenizer.ggml.scores"] = [*scores[0], *[-1e9] * len(more)]
    _write(file, architecture, _replaced(metadata, figures), tensors)


def write_mmproj(
    file: Path, canary: Path, tensors: Sequence[TensorInfo], declared: Mapping[str, Any]
) -> None:
    """Write a vision part; ``declared`` is the model's file of ``declarations/configs``."""
    config = declared["config.json"]
    text, vision = text_config(config), config["vision_config"]
    figures: dict[str, Any] = {
        "general.name": f"{canary.parent.parent.name}, random values, vision",
        "general.file_type": _FILE_TYPES[mmproj_type(file.name)],
        f"{_CLIP}projection_dim": text["hidden_size"],
        f"{_CLIP}patch_size": vision["patch_size"],
        f"{_CLIP}embedding_length": vision["hidden_size"],
        f"{_CLIP}feed_forward_length": vision["intermediate_size"],
        f"{_CLIP}block_count": gguf_of(config).vision_layers(config),
        f"{_CLIP}attention.head_count": (
            vision["num_heads"] if "num_heads" in vision else vision["num_attention_heads"]
        ),
    }
    if side := vision.get("image_size") or vision.get("crop_size"):
        figures[f"{_CLIP}image_size"] = side
    if "layer_norm_eps" in vision:
        figures[f"{_CLIP}attention.layer_norm_epsilon"] = vision["layer_norm_eps"]
    figures |= gguf_of(config).figures(declared)
    _write(file, "clip", _replaced(_metadata(canary), figures), tensors)


_Metadata = dict[str, tuple[Any, Any, Any]]
"""Key -> value, its type, and its elements' type."""


def _metadata(canary: Path) -> _Metadata:
    from gguf import GGUFReader

    return {
        name: (field.contents(), field.types[0], field.types[-1] if field.types[1:] else None)
        for name, field in GGUFReader(canary).fields.items()
        if not name.startswith("GGUF.")
    }


def _replaced(metadata: _Metadata, figures: Mapping[str, Any]) -> _Metadata:
    """The same keys and types, with the values of ``figures`` where they have one."""
    return {
        name: (figures.get(name, value), kind, inner)
        for name, (value, kind, inner) in metadata.items()
    }


def _write(
    file: Path, architecture: str, metadata: _Metadata, tensors: Sequence[TensorInfo]
) -> None:
    import gguf
    import numpy as np

    logging.getLogger("gguf.gguf_writer").setLevel(logging.WARNING)
    writer = gguf.GGUFWriter(file, architecture)
    for name, (value, kind, inner) in metadata.items():
        if name != "general.architecture":  # the writer has entered it
            writer.add_key_value(name, value, kind, inner)
    for tensor in tensors:
        kind = gguf.GGMLQuantizationType[tensor.dtype]
        writer.add_tensor_info(tensor.name, tensor.shape, np.float16, tensor.bytes, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    stream = writer.fout[0]
    writer.write_padding(stream, stream.tell())
    for tensor in tensors:
        for chunk in chunks(tensor):
            stream.write(chunk)
        writer.write_padding(stream, tensor.bytes)
    writer.close()
