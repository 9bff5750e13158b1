"""Qwen3.5: gated delta net beside gated full attention, partial M-RoPE, thinking template."""

from pathlib import Path

from tests.support import zoo
from tests.support.zoo import qwen3_vl

SPECIAL = qwen3_vl.SPECIAL
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The published template's end; enable_thinking is the switch.
TEMPLATE = qwen3_vl.TEMPLATE.replace(
    "{{- '<|im_start|>assistant\n' }}{%- endif %}",
    "{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}"
    "{%- else %}{{- '<think>\n' }}{%- endif %}{%- endif %}",
)
assert TEMPLATE != qwen3_vl.TEMPLATE


def config(ids):
    n = max(ids.values()) + 1
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen3_5",
        "text_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "attn_output_gate": True,
            "dtype": "float32",
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
            "full_attention_interval": 2,
            "head_dim": 32,
            "hidden_act": "silu",
            "hidden_size": 64,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "layer_types": ["linear_attention", "full_attention"] * 2,
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": KEY_HEAD,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_value_head_dim": KEY_HEAD,
            "max_position_embeddings": 2048,
            "model_type": "qwen3_5_text",
            "num_attention_heads": 2,
            "num_hidden_layers": 4,
            "mtp_num_hidden_layers": 1,
            "mtp_use_dedicated_embeddings": False,
            "num_key_value_heads": 1,
            "rms_norm_eps": 1e-06,
            "tie_word_embeddings": False,
            "use_cache": True,
            "vocab_size": n,
            "rope_parameters": {
                "mrope_interleaved": True,
                "mrope_section": [2, 1, 1],
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.25,
            },
            "mamba_ssm_dtype": "float32",
        },
        "tie_word_embeddings": False,
        "video_token_id": ids["<|video_pad|>"],
        "vision_config": {
            "deepstack_visual_indexes": [],
            "depth": 2,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 48,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "model_type": "qwen3_5",
            "num_heads": 3,
            "num_position_embeddings": 36,
            "out_hidden_size": 64,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


KEY_HEAD = 32


def build(folder):
    folder = Path(folder)
    ids = zoo.byte_tokenizer(
        folder,
        SPECIAL,
        {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        "Qwen2Tokenizer",
        TEMPLATE,
        processor_class="Qwen3VLProcessor",
        words=WORDS,
        normalizer={"type": "NFC"},
        plain_added=("<think>", "</think>"),
    )
    zoo.write_json(folder / "config.json", config(ids))
    qwen3_vl.write_settings(folder, ids)
    zoo.write_weights(folder)
    add_mtp(folder)


def add_mtp(folder):
    """Published repositories carry a multi-token-prediction block; llama.cpp's converter insists on it."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(str(folder / "model.safetensors"))
    full = "model.language_model.layers.1."
    mtp = {
        "mtp.layers.0." + k.removeprefix(full): v.clone()
        for k, v in weights.items()
        if k.startswith(full)
    }
    h = 64
    g = torch.Generator().manual_seed(2)
    mtp["mtp.fc.weight"] = torch.randn(h, 2 * h, generator=g) / (2 * h) ** 0.5
    for n in ("pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm"):
        mtp[f"mtp.{n}.weight"] = torch.zeros(h)
    save_file(weights | mtp, str(folder / "model.safetensors"), metadata={"format": "pt"})
