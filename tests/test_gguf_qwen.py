"""The Qwen2.5-VL canary as GGUF: the published weights, cut as llama.cpp wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader

from fixtures.make_canaries import gguf_qwen, tokenizer

WIDTH, LAYERS, PATCH = 8, 3, 4
TOKENS = {"<|endoftext|>": 2, "<|im_end|>": 3}
CONFIG = {
    "model_type": "qwen2_5_vl",
    "eos_token_id": 3,
    "pad_token_id": 2,
    "hidden_size": WIDTH,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": LAYERS,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {"type": "mrope", "mrope_section": [0, 1, 1]},
    "rope_theta": 10000.0,
    "vocab_size": 4,
    "vision_config": {
        "depth": LAYERS,
        "fullatt_block_indexes": [2],
        "hidden_size": WIDTH,
        "intermediate_size": 16,
        "num_heads": 2,
        "patch_size": PATCH,
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a tokenizer of four tokens, two of them special."""
    added = [{"content": token, "id": place, "special": True} for token, place in TOKENS.items()]
    tokenizer.write_json(
        tmp_path / "tokenizer.json", {"model": {"vocab": {"a": 0, "b": 1}}, "added_tokens": added}
    )
    (tmp_path / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return tmp_path


def weights() -> dict[str, np.ndarray]:
    """Random weights under some of the published names."""
    shapes = {
        "visual.patch_embed.proj.weight": (WIDTH, 3, 2, PATCH, PATCH),
        "visual.blocks.1.attn.qkv.weight": (3 * WIDTH, WIDTH),
        "visual.blocks.1.attn.qkv.bias": (3 * WIDTH,),
        "visual.merger.mlp.2.weight": (WIDTH, 4 * WIDTH),
        "model.layers.2.self_attn.q_proj.weight": (WIDTH, WIDTH),
        "model.layers.2.self_attn.k_proj.bias": (WIDTH // 2,),
        "lm_head.weight": (4, WIDTH),
    }
    rng = np.random.default_rng(7)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def read(file: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return a GGUF's tensors by name, and its keys with their values."""
    reader = GGUFReader(file)
    tensors = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    return tensors, {key: field.contents() for key, field in reader.fields.items()}


def test_query_key_and_value_rows_are_cut_apart_in_their_order(folder: Path) -> None:
    """Joined again they are the published projection, weight and bias."""
    gguf_qwen.write_mmproj(folder, CONFIG, weights(), (0.5,) * 3, (0.25,) * 3)
    tensors, _ = read(folder / "gguf" / "mmproj.gguf")
    for kind in ("weight", "bias"):
        parts = [tensors[f"v.blk.1.attn_{letter}.{kind}"] for letter in "qkv"]
        published = weights()[f"visual.blocks.1.attn.qkv.{kind}"]
        np.testing.assert_array_equal(np.concatenate(parts), published)


def test_patch_embedding_is_one_for_each_of_two_frames(folder: Path) -> None:
    """llama.cpp adds what both make of a still picture."""
    gguf_qwen.write_mmproj(folder, CONFIG, weights(), (0.5,) * 3, (0.25,) * 3)
    tensors, _ = read(folder / "gguf" / "mmproj.gguf")
    frames = [tensors["v.patch_embd.weight"], tensors["v.patch_embd.weight.1"]]
    published = weights()["visual.patch_embed.proj.weight"]
    np.testing.assert_array_equal(np.stack(frames, axis=2), published)


def test_every_third_layer_sees_the_whole_picture_where_the_last_of_three_does(
    folder: Path,
) -> None:
    """``fullatt_block_indexes`` becomes llama.cpp's pattern, counted from one."""
    gguf_qwen.write_mmproj(folder, CONFIG, weights(), (0.5,) * 3, (0.25,) * 3)
    _, keys = read(folder / "gguf" / "mmproj.gguf")
    assert keys["clip.vision.n_wa_pattern"] == 3


def test_text_model_keeps_biases_and_gets_a_fourth_rotary_section(folder: Path) -> None:
    """Qwen2's attention has biases; llama.cpp's sections are always four."""
    gguf_qwen.write_text_model(folder, CONFIG, weights(), "{{ messages }}")
    tensors, keys = read(folder / "gguf" / "model.gguf")
    published = weights()
    np.testing.assert_array_equal(
        tensors["blk.2.attn_k.bias"], published["model.layers.2.self_attn.k_proj.bias"]
    )
    np.testing.assert_array_equal(
        tensors["blk.2.attn_q.weight"], published["model.layers.2.self_attn.q_proj.weight"]
    )
    assert not any(name.startswith("v.") for name in tensors)
    assert keys["qwen2vl.rope.dimension_sections"] == [0, 1, 1, 0]


def test_a_tensor_unknown_to_llamacpp_is_refused(folder: Path) -> None:
    """Rather than left out, which would only show as a wrong answer."""
    unknown = {"model.layers.0.self_attn.new.weight": np.zeros((2, 2), np.float32)}
    with pytest.raises(KeyError, match="no name for the tensor"):
        gguf_qwen.write_text_model(folder, CONFIG, weights() | unknown, "{{ messages }}")
