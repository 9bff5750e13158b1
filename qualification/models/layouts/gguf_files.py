"""The tensors of a text model's GGUF and of its mmproj, for the families that llama.cpp has."""

from __future__ import annotations

from math import prod

from qualification.models.families.parts import Config
from qualification.models.families.table import gguf_of, published
from qualification.models.layouts.gguf_types import fitting, require_known, text_type
from qualification.models.quantisations import BLOCKS
from qualification.models.tensor_headers import TensorInfo


def text_model(config: Config, quantisation: str) -> tuple[TensorInfo, ...]:
    """Every tensor of the text model's file; DeclarationError where that is not known."""
    require_known(quantisation)
    shapes = gguf_of(config).text(config, published(config))
    layers = text_config(config)["num_hidden_layers"]
    tied = "output.weight" not in shapes
    return tuple(
        _tensor(name, shape, text_type(quantisation, name, shape, layers=layers, tied=tied))
        for name, shape in shapes.items()
    )


def mmproj(config: Config, kind: str) -> tuple[TensorInfo, ...]:
    """Every tensor of the mmproj, its matrices in ``F16``, ``F32``, ``BF16`` or ``Q8_0``.

    Norms and biases are F32; so are the embeddings of patches and places, as llama.cpp's
    conversion of SmolVLM writes them (that of Qwen2.5-VL has the patches in F16: 2 MB less).
    """
    return tuple(
        _tensor(name, shape, "F32" if _stays_f32(name, shape) else fitting(kind, shape))
        for name, shape in gguf_of(config).vision(config, published(config)).items()
    )


def mmproj_type(file: str) -> str:
    """Type of an mmproj's matrices by the published file's name; F16 without a hint."""
    upper = file.upper()
    return next((kind for kind in ("Q8_0", "BF16", "F32") if kind in upper), "F16")


def text_config(config: Config) -> Config:
    """The text model's part of ``config.json``, which some families have at its top."""
    text: Config = config.get("text_config", config)
    return text


def _stays_f32(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) < 2 or "_embd" in name


def _tensor(name: str, shape: tuple[int, ...], kind: str) -> TensorInfo:
    values, size = BLOCKS[kind]
    return TensorInfo(name, shape, kind, prod(shape) // values * size)
