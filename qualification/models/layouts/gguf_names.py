"""Published tensor names -> llama.cpp's, as its conversion scripts rename them, by family."""

from __future__ import annotations

import re

from qualification.models.layouts.parts import Config, Shapes

_LLAMA = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
_LLAMA_REST = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
_TOWER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out", "layer_norm1": "ln1", "layer_norm2": "ln2",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
}  # fmt: skip
_TOWER_REST = {
    "embeddings.patch_embedding.weight": "v.patch_embd.weight",
    "embeddings.patch_embedding.bias": "v.patch_embd.bias",
    "embeddings.position_embedding.weight": "v.position_embd.weight",
    "embeddings.class_embedding": "v.class_embd",
    "pre_layrnorm.weight": "v.pre_ln.weight", "pre_layrnorm.bias": "v.pre_ln.bias",
    "post_layernorm.weight": "v.post_ln.weight", "post_layernorm.bias": "v.post_ln.bias",
}  # fmt: skip
_QWEN_TOWER = {
    "attn.proj": "attn_out", "norm1": "ln1", "norm2": "ln2", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
_QWEN_REST = {"merger.ln_q": "v.post_ln", "merger.mlp.0": "mm.0", "merger.mlp.2": "mm.2"}
_PHI2 = {
    "ln": "attn_norm", "attn.qkv": "attn_qkv", "attn.proj": "attn_output",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
}  # fmt: skip
_PHI2_REST = {"post_ln": "output_norm", "lm_head": "output"}
# Its published files have the two names of the MLP exchanged, and llama.cpp sets that right.
_MOON_TOWER = {
    "ln1": "ln1", "ln2": "ln2", "attn.proj": "attn_out", "mlp.fc1": "ffn_down",
    "mlp.fc2": "ffn_up",
}  # fmt: skip

_LAYER = re.compile(r"(?:layers|blocks)\.(\d+)\.(.+)\.(weight|bias)\Z")


def llama_text(shapes: Shapes, prefix: str) -> Shapes:
    """A Llama-like text model under ``prefix``; the LM head is ``lm_head`` wherever it stands."""
    made: Shapes = {}
    for name, shape in shapes.items():
        if name.endswith("lm_head.weight"):
            made["output.weight"] = shape
        elif name.startswith(prefix):
            rest = name.removeprefix(prefix)
            if found := _LAYER.match(rest):
                layer, part, kind = found.groups()
                made[f"blk.{layer}.{_LLAMA[part]}.{kind}"] = shape
            elif (part := rest.removesuffix(".weight")) in _LLAMA_REST:
                made[f"{_LLAMA_REST[part]}.weight"] = shape
    return made


def moondream2_text(shapes: Shapes) -> Shapes:
    """Moondream2's text model, llama.cpp's ``phi2``."""
    made: Shapes = {}
    for name, shape in shapes.items():
        rest = name.removeprefix("model.text.")
        if rest == name:
            continue
        if rest == "wte":
            made["token_embd.weight"] = shape
        elif found := _LAYER.match(rest):
            layer, part, kind = found.groups()
            made[f"blk.{layer}.{_PHI2[part]}.{kind}"] = shape
        else:
            part, _, kind = rest.rpartition(".")
            made[f"{_PHI2_REST[part]}.{kind}"] = shape
    return made


def picture_tower(shapes: Shapes, prefix: str, layers: int) -> Shapes:
    """CLIP's or SigLIP's tower under ``prefix``, its first ``layers`` layers."""
    made: Shapes = {}
    for name, shape in shapes.items():
        rest = name.removeprefix(prefix)
        if rest == name:
            continue
        if rest in _TOWER_REST:
            made[_TOWER_REST[rest]] = shape
        elif (found := _LAYER.search(rest)) and int(found.group(1)) < layers:
            layer, part, kind = found.groups()
            made[f"v.blk.{layer}.{_TOWER[part]}.{kind}"] = shape
    return made


def qwen2_5_tower(shapes: Shapes) -> Shapes:
    """Qwen2.5-VL's: the two frames of a patch apart, query, key and value too."""
    made: Shapes = {}
    for name, shape in shapes.items():
        rest = name.removeprefix("visual.")
        if rest == name:
            continue
        if rest == "patch_embed.proj.weight":
            one_frame = (*shape[:2], *shape[3:])
            made |= {"v.patch_embd.weight": one_frame, "v.patch_embd.weight.1": one_frame}
        elif found := _LAYER.match(rest):
            layer, part, kind = found.groups()
            made |= _block(f"v.blk.{layer}.", part, kind, shape, _QWEN_TOWER)
        else:
            part, _, kind = rest.rpartition(".")
            made[f"{_QWEN_REST[part]}.{kind}"] = shape
    return made


def moondream2_tower(shapes: Shapes, config: Config) -> Shapes:
    """Moondream2's, as published: its last layer twice, one projection of one global crop."""
    vision = config["vision_config"]
    layers, seen, patch = vision["num_hidden_layers"], vision["hidden_size"], vision["patch_size"]
    part = "model.vision."
    made: Shapes = {
        "v.patch_embd.weight": (seen, 3, patch, patch),
        "v.patch_embd.bias": (seen,),
        "v.position_embd.weight": shapes[f"{part}pos_emb"][1:],
        "mm.0.weight": (vision["proj_inner_dim"], seen),
        "mm.0.bias": shapes[f"{part}proj_mlp.fc1.bias"],
        "mm.2.weight": shapes[f"{part}proj_mlp.fc2.weight"],
        "mm.2.bias": shapes[f"{part}proj_mlp.fc2.bias"],
        "v.post_ln.weight": (seen,),
        "v.post_ln.bias": (seen,),
    }
    for layer in range(layers + 1):
        at = f"{part}blocks.{min(layer, layers - 1)}."
        for name, shape in shapes.items():
            if name.startswith(at):
                inner, _, kind = name.removeprefix(at).rpartition(".")
                made |= _block(f"v.blk.{layer}.", inner, kind, shape, _MOON_TOWER)
    return made


def _block(at: str, part: str, kind: str, shape: tuple[int, ...], names: dict[str, str]) -> Shapes:
    if part == "attn.qkv":
        third = (shape[0] // 3, *shape[1:])
        return {f"{at}attn_{letter}.{kind}": third for letter in "qkv"}
    return {f"{at}{names[part]}.{kind}": shape}
