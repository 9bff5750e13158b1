"""Qwen3-VL, dense: deepstack, interleaved M-RoPE, interpolated position table, GQA."""

from pathlib import Path

from tests.support import zoo

PATCH, MERGE = 16, 2

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = (
    "{%- set image_count = namespace(value=0) %}{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}"
    "{%- for content in message.content %}"
    "{%- if content.type == 'image' or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif content.type == 'video' or 'video' in content %}<|vision_start|><|video_pad|><|vision_end|>"
    "{%- elif 'text' in content %}{{- content.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


def config(ids):
    n = max(ids.values()) + 1
    text = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "max_position_embeddings": 2048,
        "model_type": "qwen3_vl_text",
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_scaling": {
            "mrope_interleaved": True,
            "mrope_section": [3, 3, 2],
            "rope_type": "default",
        },
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": n,
        "dtype": "float32",
    }
    return {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "image_token_id": ids["<|image_pad|>"],
        "model_type": "qwen3_vl",
        "text_config": text,
        "tie_word_embeddings": False,
        "video_token_id": ids["<|video_pad|>"],
        "vision_config": {
            "deepstack_visual_indexes": [0, 1],
            "depth": 3,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 48,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "model_type": "qwen3_vl",
            "num_heads": 3,
            "num_position_embeddings": 36,
            "out_hidden_size": 64,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
        },
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def build(folder):
    folder = Path(folder)
    ids = zoo.byte_tokenizer(
        folder,
        SPECIAL,
        {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        "Qwen2Tokenizer",
        TEMPLATE,
        processor_class="Qwen3VLProcessor",
        normalizer={"type": "NFC"},
    )
    zoo.write_json(folder / "config.json", config(ids))
    write_settings(folder, ids)
    zoo.write_weights(folder)


def write_settings(folder, ids):
    """The processors' settings and the stop tokens, which Qwen3.5 has too."""
    unit = (PATCH * MERGE) ** 2
    for file, key, kind, most in (
        ("preprocessor_config.json", "image_processor_type", "Qwen2VLImageProcessorFast", 64),
        ("video_preprocessor_config.json", "video_processor_type", "Qwen3VLVideoProcessor", 256),
    ):
        zoo.write_json(
            folder / file,
            {
                "size": {"longest_edge": most * unit, "shortest_edge": 8 * unit},
                "patch_size": PATCH,
                "temporal_patch_size": 2,
                "merge_size": MERGE,
                "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3,
                "processor_class": "Qwen3VLProcessor",
                key: kind,
            },
        )
    zoo.write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": ids["<|endoftext|>"],
            "do_sample": False,
            "pad_token_id": ids["<|endoftext|>"],
            "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        },
    )
