"""Every tensor of a SmolVLM's published files."""

from __future__ import annotations

from qualification.models.families.parts import Config, Shapes, decoder, image_tower, linear


def published(config: Config) -> Shapes:
    """``{name: shape}`` by ``config.json``."""
    text, vision = config["text_config"], config["vision_config"]
    merged = vision["hidden_size"] * config["scale_factor"] ** 2
    connector = "model.connector.modality_projection.proj"
    return (
        decoder(text, "model.text_model.", "lm_head")
        | image_tower(vision, "model.vision_model.", clip=False)
        | linear(connector, text["hidden_size"], merged, bias=False)
    )
