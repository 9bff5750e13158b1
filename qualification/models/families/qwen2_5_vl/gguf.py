"""A Qwen2.5-VL's GGUF and mmproj."""

from __future__ import annotations

from typing import Any

from qualification.models.families.gguf_names import LAYER, block, llama_text
from qualification.models.families.parts import Config, Shapes

_IN_BLOCK = {
    "attn.proj": "attn_out",
    "norm1": "ln1",
    "norm2": "ln2",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTSIDE = {
    "merger.ln_q": "v.post_ln",
    "merger.mlp.0": "mm.0",
    "merger.mlp.2": "mm.2",
}


def text(_: Config, shapes: Shapes) -> Shapes:
    """The text model's tensors."""
    return llama_text(shapes, "model.")


def vision(_: Config, shapes: Shapes) -> Shapes:
    """The tower's tensors: the two frames of a patch are separate, and query, key and value."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        suffix = name.removeprefix("visual.")
        if suffix == name:
            continue
        if suffix == "patch_embed.proj.weight":
            one_frame = (*shape[:2], *shape[3:])
            renamed |= {"v.patch_embd.weight": one_frame, "v.patch_embd.weight.1": one_frame}
        elif match := LAYER.match(suffix):
            layer, part, kind = match.groups()
            renamed |= block(f"v.blk.{layer}.", part, kind, shape, _IN_BLOCK)
        else:
            part, kind = suffix.rsplit(".", 1)
            renamed[f"{_OUTSIDE[part]}.{kind}"] = shape
    return renamed


def vision_layers(config: Config) -> int:
    """All layers of the tower."""
    return int(config["vision_config"]["depth"])


def figures(declared: Config) -> dict[str, Any]:
    """The distance between layers of full attention."""
    full = declared["config.json"]["vision_config"].get("fullatt_block_indexes")
    return {"clip.vision.n_wa_pattern": full[0] + 1} if full else {}
