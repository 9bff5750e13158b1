"""Every tensor of a Phi-3.5-vision's published files."""

from __future__ import annotations

from qualification.models.families.parts import Config, Shapes, image_tower, linear, norm

_CLIP_LARGE_336: Config = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "image_size": 336,
    "patch_size": 14,
}


def published(config: Config) -> Shapes:
    """``{name: shape}`` by ``config.json``."""
    # The published config names the tower (CLIP-L at 336 pixels) instead of giving its figures.
    vision = config.get("canary_vision_config") or _CLIP_LARGE_336
    width, inner = config["hidden_size"], config["intermediate_size"]
    head = width // config["num_attention_heads"]
    keys = config["num_key_value_heads"] * head
    shapes: Shapes = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes |= linear(f"{at}self_attn.qkv_proj", width + 2 * keys, width, bias=False)
        shapes |= linear(f"{at}self_attn.o_proj", width, width, bias=False)
        shapes |= linear(f"{at}mlp.gate_up_proj", 2 * inner, width, bias=False)
        shapes |= linear(f"{at}mlp.down_proj", width, inner, bias=False)
        shapes |= norm(f"{at}input_layernorm", width, bias=False)
        shapes |= norm(f"{at}post_attention_layernorm", width, bias=False)
    shapes |= norm("model.norm", width, bias=False)
    shapes |= linear("lm_head", config["vocab_size"], width, bias=False)
    merged = 4 * vision["hidden_size"]  # two by two patches are one token
    images = "model.vision_embed_tokens."
    shapes |= {f"{images}glb_GN": (1, 1, merged), f"{images}sub_GN": (1, 1, 1, merged)}
    shapes |= linear(f"{images}img_projection.0", width, merged)
    shapes |= linear(f"{images}img_projection.2", width, width)
    return shapes | image_tower(vision, f"{images}img_processor.vision_model.", clip=True)
