"""Published tensor names -> llama.cpp's, as its conversion scripts rename them: shared parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from qualification.models.families.parts import Shapes

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

LAYER = re.compile(r"(?:layers|blocks)\.(\d+)\.(.+)\.(weight|bias)\Z")
"""Number of the layer, name within it, ``weight`` or ``bias``."""


def llama_text(shapes: Shapes, prefix: str) -> Shapes:
    """A Llama-like text model under ``prefix``; the LM head is ``lm_head`` wherever it stands."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        if name.endswith("lm_head.weight"):
            renamed["output.weight"] = shape
        elif name.startswith(prefix):
            suffix = name.removeprefix(prefix)
            if match := LAYER.match(suffix):
                layer, part, kind = match.groups()
                renamed[f"blk.{layer}.{_LLAMA[part]}.{kind}"] = shape
            elif (part := suffix.removesuffix(".weight")) in _LLAMA_OUTSIDE:
                renamed[f"{_LLAMA_OUTSIDE[part]}.weight"] = shape
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
        elif (match := LAYER.search(suffix)) and int(match.group(1)) < layers:
            layer, part, kind = match.groups()
            renamed[f"v.blk.{layer}.{_TOWER[part]}.{kind}"] = shape
    return renamed


def block(
    at: str, part: str, kind: str, shape: tuple[int, ...], names: Mapping[str, str]
) -> Shapes:
    """A tensor of a tower's block at ``at``: one, or query, key and value where they are one."""
    if part == "attn.qkv":
        third = (shape[0] // 3, *shape[1:])
        return {f"{at}attn_{letter}.{kind}": third for letter in "qkv"}
    return {f"{at}{names[part]}.{kind}": shape}
