"""``config.json`` of a model -> every tensor of its published files, by family.

Names are those of the published repositories. The canary of each family has a file with exactly
these tensors for its config: the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from qualification.core.errors import DeclarationError
from qualification.models.layouts.parts import Config, Shapes, decoder, image_tower, linear, norm


def published(config: Config) -> Shapes:
    """``{name: shape}`` of all tensors; DeclarationError for a family without a layout."""
    family = config["model_type"]
    if family not in _FAMILIES:
        raise DeclarationError(
            f"no layout is known for the family {family!r}: known are {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[family](config)


def parameters(config: Config) -> int:
    """Number of all values; tied embeddings count once, as in ``models.toml``."""
    return sum(map(prod, published(config).values()))


def _qwen2_vl(config: Config) -> Shapes:
    vision = config["vision_config"]
    width, out = vision["embed_dim"], vision["hidden_size"]
    shapes = _qwen_frame(config, width, out, norm_bias=True)
    inner = int(width * vision["mlp_ratio"])
    for layer in range(vision["depth"]):
        at = f"visual.blocks.{layer}."
        shapes |= norm(f"{at}norm1", width) | norm(f"{at}norm2", width)
        shapes |= linear(f"{at}mlp.fc1", inner, width) | linear(f"{at}mlp.fc2", width, inner)
    return shapes


def _qwen2_5_vl(config: Config) -> Shapes:
    vision = config["vision_config"]
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    shapes = _qwen_frame(config, width, vision["out_hidden_size"], norm_bias=False)
    for layer in range(vision["depth"]):
        at = f"visual.blocks.{layer}."
        shapes |= norm(f"{at}norm1", width, bias=False) | norm(f"{at}norm2", width, bias=False)
        shapes |= linear(f"{at}mlp.gate_proj", inner, width)
        shapes |= linear(f"{at}mlp.up_proj", inner, width)
        shapes |= linear(f"{at}mlp.down_proj", width, inner)
    return shapes


def _qwen_frame(config: Config, width: int, out: int, *, norm_bias: bool) -> Shapes:
    """The parts that both generations of Qwen-VL share: text model, patches, attention, merger."""
    vision = config["vision_config"]
    patch, merged = vision["patch_size"], width * vision["spatial_merge_size"] ** 2
    shapes = decoder(config, "model.", "lm_head", attention_bias=True)
    frames = vision["temporal_patch_size"]
    shapes["visual.patch_embed.proj.weight"] = (width, 3, frames, patch, patch)
    for layer in range(vision["depth"]):
        shapes |= linear(f"visual.blocks.{layer}.attn.qkv", 3 * width, width)
        shapes |= linear(f"visual.blocks.{layer}.attn.proj", width, width)
    shapes |= norm("visual.merger.ln_q", width, bias=norm_bias)
    shapes |= linear("visual.merger.mlp.0", merged, merged)
    return shapes | linear("visual.merger.mlp.2", out, merged)


def _smolvlm(config: Config) -> Shapes:
    text, vision = config["text_config"], config["vision_config"]
    merged = vision["hidden_size"] * config["scale_factor"] ** 2
    connector = "model.connector.modality_projection.proj"
    return (
        decoder(text, "model.text_model.", "lm_head")
        | image_tower(vision, "model.vision_model.", clip=False)
        | linear(connector, text["hidden_size"], merged, bias=False)
    )


def _llava_next(config: Config) -> Shapes:
    text, vision = config["text_config"], config["vision_config"]
    width = text["hidden_size"]
    shapes = decoder(text, "language_model.model.", "language_model.lm_head")
    shapes |= image_tower(vision, "vision_tower.vision_model.", clip=True)
    shapes |= linear("multi_modal_projector.linear_1", width, vision["hidden_size"])
    shapes |= linear("multi_modal_projector.linear_2", width, width)
    return shapes | {"image_newline": (width,)}


def _phi3_v(config: Config) -> Shapes:
    # The published config names the tower (CLIP-L at 336 pixels) instead of giving its figures.
    vision = config.get("canary_vision_config") or CLIP_LARGE_336
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


CLIP_LARGE_336: Config = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "image_size": 336,
    "patch_size": 14,
}


def _moondream2(config: Config) -> Shapes:
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
    return shapes | _moondream2_region(config)


def _moondream2_region(config: Config) -> Shapes:
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


_FAMILIES: dict[str, Callable[[Config], Shapes]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "smolvlm": _smolvlm,
    "llava_next": _llava_next,
    "phi3_v": _phi3_v,
    "moondream1": _moondream2,  # its published config has the older name
}
