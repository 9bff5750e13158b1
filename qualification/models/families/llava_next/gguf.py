"""A LLaVA-NeXT's GGUF and mmproj."""

from __future__ import annotations

from typing import Any

from qualification.models.families.gguf_names import image_tower, llama_text
from qualification.models.families.parts import Config, Shapes


def text(_: Config, shapes: Shapes) -> Shapes:
    """The text model's tensors."""
    return llama_text(shapes, "language_model.model.")


def vision(config: Config, shapes: Shapes) -> Shapes:
    """The tensors of the tower, of the projector, and the newline."""
    tower = image_tower(shapes, "vision_tower.vision_model.", vision_layers(config))
    tower = {name: shape for name, shape in tower.items() if not name.startswith("v.post_ln.")}
    for published_name, name in (("linear_1", "mm.0"), ("linear_2", "mm.2")):
        for kind in ("weight", "bias"):
            tower[f"{name}.{kind}"] = shapes[f"multi_modal_projector.{published_name}.{kind}"]
    return tower | {"v.image_newline": shapes["image_newline"]}


def vision_layers(config: Config) -> int:
    """The tower's layers up to the one that is read."""
    return int(config["vision_config"]["num_hidden_layers"] + 1 + config["vision_feature_layer"])


def figures(declared: Config) -> dict[str, Any]:
    """The tilings, and the layer that is read."""
    config = declared["config.json"]
    return {
        "clip.vision.image_grid_pinpoints": [
            side for point in config["image_grid_pinpoints"] for side in point
        ],
        "clip.vision.feature_layer": [vision_layers(config)],
    }
