"""The parts that families share: linear layers, norms, a Llama-like decoder, a vision tower.

Every function gives ``{name: shape}``, shapes as in safetensors (rows first).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]
"""A model's published ``config.json``."""

Shapes = dict[str, tuple[int, ...]]


def linear(name: str, rows: int, columns: int, *, bias: bool = True) -> Shapes:
    """A matrix [rows, columns] and, unless ``bias`` is False, its bias [rows]."""
    shapes: Shapes = {f"{name}.weight": (rows, columns)}
    return shapes | {f"{name}.bias": (rows,)} if bias else shapes


def norm(name: str, width: int, *, bias: bool = True) -> Shapes:
    """A norm's factor and, for a layer norm, its shift."""
    shapes: Shapes = {f"{name}.weight": (width,)}
    return shapes | {f"{name}.bias": (width,)} if bias else shapes


def head_width(text: Config) -> int:
    """Width of one attention head of a text model."""
    return int(text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"])


def decoder(text: Config, prefix: str, lm_head: str, *, attention_bias: bool = False) -> Shapes:
    """A Llama-like text model under ``prefix``, and its ``lm_head`` unless that is tied.

    ``attention_bias``: the query, key and value projections have one (Qwen2).
    """
    width, inner = text["hidden_size"], text["intermediate_size"]
    queries = text["num_attention_heads"] * head_width(text)
    keys = text["num_key_value_heads"] * head_width(text)
    shapes: Shapes = {f"{prefix}embed_tokens.weight": (text["vocab_size"], width)}
    for layer in range(text["num_hidden_layers"]):
        at = f"{prefix}layers.{layer}."
        shapes |= linear(f"{at}self_attn.q_proj", queries, width, bias=attention_bias)
        shapes |= linear(f"{at}self_attn.k_proj", keys, width, bias=attention_bias)
        shapes |= linear(f"{at}self_attn.v_proj", keys, width, bias=attention_bias)
        shapes |= linear(f"{at}self_attn.o_proj", width, queries, bias=False)
        shapes |= linear(f"{at}mlp.gate_proj", inner, width, bias=False)
        shapes |= linear(f"{at}mlp.up_proj", inner, width, bias=False)
        shapes |= linear(f"{at}mlp.down_proj", width, inner, bias=False)
        shapes |= norm(f"{at}input_layernorm", width, bias=False)
        shapes |= norm(f"{at}post_attention_layernorm", width, bias=False)
    shapes |= norm(f"{prefix}norm", width, bias=False)
    if not text.get("tie_word_embeddings", False):
        shapes |= linear(lm_head, text["vocab_size"], width, bias=False)
    return shapes


def image_tower(vision: Config, prefix: str, *, clip: bool) -> Shapes:
    """The vision tower of CLIP (``clip``: a class token, a norm before the layers) or of SigLIP."""
    width, inner, patch = vision["hidden_size"], vision["intermediate_size"], vision["patch_size"]
    places = (vision["image_size"] // patch) ** 2 + clip
    shapes: Shapes = {
        f"{prefix}embeddings.patch_embedding.weight": (width, 3, patch, patch),
        f"{prefix}embeddings.position_embedding.weight": (places, width),
    }
    if clip:
        shapes[f"{prefix}embeddings.class_embedding"] = (width,)
        shapes |= norm(f"{prefix}pre_layrnorm", width)  # misspelt so by its authors
    else:
        shapes[f"{prefix}embeddings.patch_embedding.bias"] = (width,)
    for layer in range(vision["num_hidden_layers"]):
        at = f"{prefix}encoder.layers.{layer}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{at}self_attn.{part}", width, width)
        shapes |= norm(f"{at}layer_norm1", width) | norm(f"{at}layer_norm2", width)
        shapes |= linear(f"{at}mlp.fc1", inner, width) | linear(f"{at}mlp.fc2", width, inner)
    return shapes | norm(f"{prefix}post_layernorm", width)
