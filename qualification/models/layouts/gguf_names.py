"""Published tensor names -> llama.cpp's, as its conversion scripts rename them, by family."""

from __future__ import annotations

import re

from qualification.models.layouts.parts import Config, Shapes

# Published name -> llama.cpp's: within a layer, and in the tables ``_OUTSIDE`` outside of layers.
_LLAMA = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_LLAMA_OUTSIDE = {
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "lm_head": "output",
}
_TOWER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_TOWER_OUTSIDE = {
    "embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "embeddings.patch_embedding.bias": "v.patch_embd.bias",
    "embeddings.position_embedding.weight": "v.position_embd.weight",
    "embeddings.class_embedding": "v.class_embd",
    "pre_layrnorm.weight": "v.pre_ln.weight",
    "pre_layrnorm.bias": "v.pre_ln.bias",
    "post_layernorm.weight": "v.post_ln.weight",
    "post_layernorm.bias": "v.post_ln.bias",
}
_QWEN_TOWER = {
    "attn.proj": "attn_out",
    "norm1": "ln1",
    "norm2": "ln2",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_QWEN_OUTSIDE = {
    "merger.ln_q": "v.post_ln",
    "merger.mlp.0": "mm.0",
    "merger.mlp.2": "mm.2",
}
_PHI2 = {
    "ln": "attn_norm",
    "attn.qkv": "attn_qkv",
    "attn.proj": "attn_output",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_PHI2_OUTSIDE = {
    "post_ln": "output_norm",
    "lm_head": "output",
}
# The published files have the two names of the MLP exchanged; llama.cpp exchanges them back.
_MOON_TOWER = {
    "ln1": "ln1",
    "ln2": "ln2",
    "attn.proj": "attn_out",
    "mlp.fc1": "ffn_down",
    "mlp.fc2": "ffn_up",
}

_LAYER = re.compile(r"(?:layers|blocks)\.(\d+)\.(.+)\.(weight|bias)\Z")


def llama_text(shapes: Shapes, prefix: str) -> Shapes:
    """A Llama-like text model under ``prefix``; the LM head is ``lm_head`` wherever it stands."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        if name.endswith("lm_head.weight"):
            renamed["output.weight"] = shape
        elif name.startswith(prefix):
            suffix = name.removeprefix(prefix)
            if match := _LAYER.match(suffix):
                layer, part, kind = match.groups()
                renamed[f"blk.{layer}.{_LLAMA[part]}.{kind}"] = shape
            elif (part := suffix.removesuffix(".weight")) in _LLAMA_OUTSIDE:
                renamed[f"{_LLAMA_OUTSIDE[part]}.weight"] = shape
    return renamed


def moondream2_text(shapes: Shapes) -> Shapes:
    """Moondream2's text model, llama.cpp's ``phi2``."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        suffix = name.removeprefix("model.text.")
        if suffix == name:
            continue
        if suffix == "wte":
            renamed["token_embd.weight"] = shape
        elif match := _LAYER.match(suffix):
            layer, part, kind = match.groups()
            renamed[f"blk.{layer}.{_PHI2[part]}.{kind}"] = shape
        else:
            part, _, kind = suffix.rpartition(".")
            renamed[f"{_PHI2_OUTSIDE[part]}.{kind}"] = shape
    return renamed


def image_tower(shapes: Shapes, prefix: str, layers: int) -> Shapes:
    """CLIP's or SigLIP's tower under ``prefix``, its first ``layers`` layers."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        suffix = name.removeprefix(prefix)
        if suffix == name:
            continue
        if suffix in _TOWER_OUTSIDE:
            renamed[_TOWER_OUTSIDE[suffix]] = shape
        elif (match := _LAYER.search(suffix)) and int(match.group(1)) < layers:
            layer, part, kind = match.groups()
            renamed[f"v.blk.{layer}.{_TOWER[part]}.{kind}"] = shape
    return renamed


def qwen2_5_tower(shapes: Shapes) -> Shapes:
    """Qwen2.5-VL's tower: the two frames of a patch are separate, and query, key and value."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        suffix = name.removeprefix("visual.")
        if suffix == name:
            continue
        if suffix == "patch_embed.proj.weight":
            one_frame = (*shape[:2], *shape[3:])
            renamed |= {"v.patch_embd.weight": one_frame, "v.patch_embd.weight.1": one_frame}
        elif match := _LAYER.match(suffix):
            layer, part, kind = match.groups()
            renamed |= _block(f"v.blk.{layer}.", part, kind, shape, _QWEN_TOWER)
        else:
            part, _, kind = suffix.rpartition(".")
            renamed[f"{_QWEN_OUTSIDE[part]}.{kind}"] = shape
    return renamed


def moondream2_tower(shapes: Shapes, config: Config) -> Shapes:
    """Moondream2's tower as published: its last layer twice, one projection of one global crop."""
    vision = config["vision_config"]
    layers, width, patch = vision["num_hidden_layers"], vision["hidden_size"], vision["patch_size"]
    part = "model.vision."
    renamed: Shapes = {
        "v.patch_embd.weight": (width, 3, patch, patch),
        "v.patch_embd.bias": (width,),
        "v.position_embd.weight": shapes[f"{part}pos_emb"][1:],
        "mm.0.weight": (vision["proj_inner_dim"], width),
        "mm.0.bias": shapes[f"{part}proj_mlp.fc1.bias"],
        "mm.2.weight": shapes[f"{part}proj_mlp.fc2.weight"],
        "mm.2.bias": shapes[f"{part}proj_mlp.fc2.bias"],
        "v.post_ln.weight": (width,),
        "v.post_ln.bias": (width,),
    }
    for layer in range(layers + 1):
        at = f"{part}blocks.{min(layer, layers - 1)}."
        for name, shape in shapes.items():
            if name.startswith(at):
                inner, _, kind = name.removeprefix(at).rpartition(".")
                renamed |= _block(f"v.blk.{layer}.", inner, kind, shape, _MOON_TOWER)
    return renamed


def _block(at: str, part: str, kind: str, shape: tuple[int, ...], names: dict[str, str]) -> Shapes:
    if part == "attn.qkv":
        third = (shape[0] // 3, *shape[1:])
        return {f"{at}attn_{letter}.{kind}": third for letter in "qkv"}
    return {f"{at}{names[part]}.{kind}": shape}
