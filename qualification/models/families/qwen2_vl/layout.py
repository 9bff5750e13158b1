"""Every tensor of a Qwen2-VL's published files."""

from __future__ import annotations

from qualification.models.families import qwen_vl
from qualification.models.families.parts import Config, Shapes, linear, norm


def published(config: Config) -> Shapes:
    """``{name: shape}`` by ``config.json``."""
    vision = config["vision_config"]
    width, out = vision["embed_dim"], vision["hidden_size"]
    shapes = qwen_vl.frame(config, width, out, norm_bias=True)
    inner = int(width * vision["mlp_ratio"])
    for layer in range(vision["depth"]):
        at = f"visual.blocks.{layer}."
        shapes |= norm(f"{at}norm1", width) | norm(f"{at}norm2", width)
        shapes |= linear(f"{at}mlp.fc1", inner, width) | linear(f"{at}mlp.fc2", width, inner)
    return shapes
