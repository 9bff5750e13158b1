"""A SmolVLM's GGUF and mmproj."""

from __future__ import annotations

from typing import Any

from qualification.models.families.gguf_names import image_tower, llama_text
from qualification.models.families.parts import Config, Shapes


def text(_: Config, shapes: Shapes) -> Shapes:
    """The text model's tensors."""
    return llama_text(shapes, "model.text_model.")


def vision(config: Config, shapes: Shapes) -> Shapes:
    """The tower's and the connector's tensors."""
    tower = image_tower(shapes, "model.vision_model.", vision_layers(config))
    connector = shapes["model.connector.modality_projection.proj.weight"]
    return tower | {"mm.model.fc.weight": connector}


def vision_layers(config: Config) -> int:
    """All layers of the tower."""
    return int(config["vision_config"]["num_hidden_layers"])


def figures(declared: Config) -> dict[str, Any]:
    """How many patches become a token, and the size that an image is brought to."""
    return {
        "clip.vision.projector.scale_factor": declared["config.json"]["scale_factor"],
        "clip.vision.preproc_image_size": declared["preprocessor_config.json"]["size"][
            "longest_edge"
        ],
    }
