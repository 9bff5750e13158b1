"""The tensors of a text model's GGUF and of its mmproj, for the families that llama.cpp has."""

from __future__ import annotations

from math import prod

from qualification.core.errors import DeclarationError
from qualification.models.layouts import gguf_names
from qualification.models.layouts.families import published
from qualification.models.layouts.gguf_types import BLOCKS, fitting, require_known, text_type
from qualification.models.layouts.parts import Config, Shapes
from qualification.models.tensor_headers import TensorInfo

ARCHITECTURES = {
    "qwen2_5_vl": "qwen2vl",
    "smolvlm": "llama",
    "llava_next": "llama",
    "moondream1": "phi2",
}
"""``model_type`` -> llama.cpp's name of the text model's architecture."""


def text_model(config: Config, quantisation: str) -> tuple[TensorInfo, ...]:
    """Every tensor of the text model's file; DeclarationError where that is not known."""
    require_known(quantisation)
    shapes, layers = _text(config), text_config(config)["num_hidden_layers"]
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
        for name, shape in _vision(config).items()
    )


def mmproj_type(file: str) -> str:
    """Type of an mmproj's matrices by the published file's name; F16 without a hint."""
    upper = file.upper()
    return next((kind for kind in ("Q8_0", "BF16", "F32") if kind in upper), "F16")


def text_config(config: Config) -> Config:
    """The text model's part of ``config.json``, which some families have at its top."""
    text: Config = config.get("text_config", config)
    return text


def vision_layers(config: Config) -> int:
    """Layers of the vision tower that the mmproj has: LLaVA's ends with the one that is read."""
    vision = config["vision_config"]
    if config["model_type"] == "llava_next":
        return int(vision["num_hidden_layers"] + 1 + config["vision_feature_layer"])
    if config["model_type"] == "moondream1":
        return int(vision["num_hidden_layers"] + 1)
    return int(vision["depth"] if "depth" in vision else vision["num_hidden_layers"])


def require_architecture(config: Config) -> None:
    """Raise DeclarationError for a family that has no GGUF layout."""
    if config["model_type"] not in ARCHITECTURES:
        raise DeclarationError(
            f"no GGUF layout is known for the family {config['model_type']!r}: "
            f"known are {', '.join(ARCHITECTURES)}"
        )


def _text(config: Config) -> Shapes:
    require_architecture(config)
    shapes = published(config)
    if config["model_type"] == "moondream1":
        return gguf_names.moondream2_text(shapes)
    prefixes = {
        "qwen2_5_vl": "model.",
        "smolvlm": "model.text_model.",
        "llava_next": "language_model.model.",
    }
    return gguf_names.llama_text(shapes, prefixes[config["model_type"]])


def _vision(config: Config) -> Shapes:
    require_architecture(config)
    shapes, layers = published(config), vision_layers(config)
    if config["model_type"] == "qwen2_5_vl":
        return gguf_names.qwen2_5_tower(shapes)
    if config["model_type"] == "moondream1":
        return gguf_names.moondream2_tower(shapes, config)
    if config["model_type"] == "smolvlm":
        tower = gguf_names.image_tower(shapes, "model.vision_model.", layers)
        connector = shapes["model.connector.modality_projection.proj.weight"]
        return tower | {"mm.model.fc.weight": connector}
    tower = gguf_names.image_tower(shapes, "vision_tower.vision_model.", layers)
    tower = {name: shape for name, shape in tower.items() if not name.startswith("v.post_ln.")}
    for published_name, name in (("linear_1", "mm.0"), ("linear_2", "mm.2")):
        for kind in ("weight", "bias"):
            tower[f"{name}.{kind}"] = shapes[f"multi_modal_projector.{published_name}.{kind}"]
    return tower | {"v.image_newline": shapes["image_newline"]}


def _stays_f32(name: str, shape: tuple[int, ...]) -> bool:
    return len(shape) < 2 or "_embd" in name


def _tensor(name: str, shape: tuple[int, ...], kind: str) -> TensorInfo:
    values, size = BLOCKS[kind]
    return TensorInfo(name, shape, kind, prod(shape) // values * size)
