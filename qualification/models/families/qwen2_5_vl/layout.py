"""Every tensor of a Qwen2.5-VL's published files."""

from __future__ import annotations

from qualification.models.families import qwen_vl
from qualification.models.families.parts import Config, Shapes, linear, norm


def published(config: Config) -> Shapes:
    """``{name: shape}`` by ``config.json``."""
    vision = config["vision_config"]
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    shapes = qwen_vl.frame(config, width, vision["out_hidden_size"], norm_bias=False)
    for layer in range(vision["depth"]):
        at = f"visual.blocks.{layer}."
        shapes |= norm(f"{at}norm1", width, bias=False) | norm(f"{at}norm2", width, bias=False)
        shapes |= linear(f"{at}mlp.gate_proj", inner, width)
        shapes |= linear(f"{at}mlp.up_proj", inner, width)
        shapes |= linear(f"{at}mlp.down_proj", width, inner)
    return shapes
