"""Every tensor of a LLaVA-NeXT's published files."""

from __future__ import annotations

from qualification.models.families.parts import Config, Shapes, decoder, image_tower, linear


def published(config: Config) -> Shapes:
    """``{name: shape}`` by ``config.json``."""
    text, vision = config["text_config"], config["vision_config"]
    width = text["hidden_size"]
    shapes = decoder(text, "language_model.model.", "language_model.lm_head")
    shapes |= image_tower(vision, "vision_tower.vision_model.", clip=True)
    shapes |= linear("multi_modal_projector.linear_1", width, vision["hidden_size"])
    shapes |= linear("multi_modal_projector.linear_2", width, width)
    return shapes | {"image_newline": (width,)}
