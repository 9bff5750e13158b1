"""Every tensor of a Moondream2's published files."""

from __future__ import annotations

from qualification.models.families.parts import Config, Shapes, linear, norm


def published(config: Config) -> Shapes:
    """``{name: shape}`` by ``config.json``."""
    text, vision = config["text_config"], config["vision_config"]
    width, inner = text["hidden_size"], text["intermediate_size"]
    keys = text["num_key_value_heads"] * (width // text["num_attention_heads"])
    shapes: Shapes = {"model.text.wte": (text["vocab_size"], width)}
    for layer in range(text["num_hidden_layers"]):
        at = f"model.text.blocks.{layer}."
        shapes |= norm(f"{at}ln", width)
        shapes |= linear(f"{at}attn.qkv", width + 2 * keys, width)
        shapes |= linear(f"{at}attn.proj", width, width)
        shapes |= linear(f"{at}mlp.fc1", inner, width) | linear(f"{at}mlp.fc2", width, inner)
    shapes |= norm("model.text.post_ln", width)
    shapes |= linear("model.text.lm_head", text["vocab_size"], width)
    channels, patch = vision["hidden_size"], vision["patch_size"]
    places = (vision["crop_size"] // patch) ** 2
    shapes |= linear("model.vision.patch_emb", channels, 3 * patch * patch)
    shapes["model.vision.pos_emb"] = (1, places, channels)
    for layer in range(vision["num_hidden_layers"]):
        at = f"model.vision.blocks.{layer}."
        shapes |= norm(f"{at}ln1", channels) | norm(f"{at}ln2", channels)
        shapes |= linear(f"{at}attn.qkv", 3 * channels, channels)
        shapes |= linear(f"{at}attn.proj", channels, channels)
        shapes |= linear(f"{at}mlp.fc1", vision["intermediate_size"], channels)
        shapes |= linear(f"{at}mlp.fc2", channels, vision["intermediate_size"])
    shapes |= norm("model.vision.post_ln", channels)
    shapes |= linear("model.vision.proj_mlp.fc1", vision["proj_inner_dim"], 2 * channels)
    shapes |= linear("model.vision.proj_mlp.fc2", vision["proj_out_dim"], vision["proj_inner_dim"])
    return shapes | _region(config)


def _region(config: Config) -> Shapes:
    """The heads for points and boxes, which no backend here loads; canaries have none."""
    if "region_config" not in config:
        return {}
    region, at = config["region_config"], "model.region."
    width, inner = region["dim"], region["inner_dim"]
    shapes: Shapes = {}
    for kind, axes in (("coord", 1), ("size", 2)):
        inputs, out = region[f"{kind}_feat_dim"], region[f"{kind}_out_dim"]
        shapes |= linear(f"{at}{kind}_encoder", width, inputs)
        shapes |= linear(f"{at}{kind}_decoder.fc1", inner, width)
        shapes |= linear(f"{at}{kind}_decoder.fc2", out, inner)
        shapes[f"{at}{kind}_features"] = (axes, inputs // 2)
    return shapes
