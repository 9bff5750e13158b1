"""A Moondream2's GGUF and mmproj; llama.cpp has its text model as ``phi2``."""

from __future__ import annotations

from qualification.models.families.gguf_names import LAYER, block
from qualification.models.families.parts import Config, Shapes

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
_IN_BLOCK = {
    "ln1": "ln1",
    "ln2": "ln2",
    "attn.proj": "attn_out",
    "mlp.fc1": "ffn_down",
    "mlp.fc2": "ffn_up",
}


def text(_: Config, shapes: Shapes) -> Shapes:
    """The text model's tensors."""
    renamed: Shapes = {}
    for name, shape in shapes.items():
        suffix = name.removeprefix("model.text.")
        if suffix == name:
            continue
        if suffix == "wte":
            renamed["token_embd.weight"] = shape
        elif match := LAYER.match(suffix):
            layer, part, kind = match.groups()
            renamed[f"blk.{layer}.{_PHI2[part]}.{kind}"] = shape
        else:
            part, kind = suffix.rsplit(".", 1)
            renamed[f"{_PHI2_OUTSIDE[part]}.{kind}"] = shape
    return renamed


def vision(config: Config, shapes: Shapes) -> Shapes:
    """The tower's tensors as published: its last layer twice, one projection of one global crop."""
    vision_config = config["vision_config"]
    layers, width = vision_config["num_hidden_layers"], vision_config["hidden_size"]
    patch, part = vision_config["patch_size"], "model.vision."
    renamed: Shapes = {
        "v.patch_embd.weight": (width, 3, patch, patch),
        "v.patch_embd.bias": (width,),
        "v.position_embd.weight": shapes[f"{part}pos_emb"][1:],
        "mm.0.weight": (vision_config["proj_inner_dim"], width),
        "mm.0.bias": shapes[f"{part}proj_mlp.fc1.bias"],
        "mm.2.weight": shapes[f"{part}proj_mlp.fc2.weight"],
        "mm.2.bias": shapes[f"{part}proj_mlp.fc2.bias"],
        "v.post_ln.weight": (width,),
        "v.post_ln.bias": (width,),
    }
    for layer in range(vision_layers(config)):
        at = f"{part}blocks.{min(layer, layers - 1)}."
        for name, shape in shapes.items():
            if name.startswith(at):
                inner, kind = name.removeprefix(at).rsplit(".", 1)
                renamed |= block(f"v.blk.{layer}.", inner, kind, shape, _IN_BLOCK)
    return renamed


def vision_layers(config: Config) -> int:
    """The tower's layers, the final one counted twice."""
    return int(config["vision_config"]["num_hidden_layers"] + 1)
