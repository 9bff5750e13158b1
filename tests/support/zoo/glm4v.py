"""GLM-4.1V: M-RoPE on half of each head, four norms a layer, interpolated position table."""

from pathlib import Path

from tests.support import zoo

PATCH, MERGE, SIDE = 14, 2, 84
SPECIAL = (
    "<|endoftext|>",
    "[MASK]",
    "[gMASK]",
    "[sMASK]",
    "<sop>",
    "<eop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|observation|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
    "/nothink",
)
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEMPLATE = (
    "[gMASK]<sop>{%- for msg in messages %}{%- if msg.role == 'system' %}<|system|>\n{{ msg.content }}"
    "{%- elif msg.role == 'user' %}<|user|>{{ '\n' }}"
    "{%- if msg.content is string %}{{ msg.content }}{%- else %}{%- for item in msg.content %}"
    "{%- if item.type == 'video' or 'video' in item %}<|begin_of_video|><|video|><|end_of_video|>"
    "{%- elif item.type == 'image' or 'image' in item %}<|begin_of_image|><|image|><|end_of_image|>"
    "{%- elif item.type == 'text' %}{{ item.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{%- elif msg.role == 'assistant' %}<|assistant|>{{ '\n' }}{%- if msg.content is string %}{{ msg.content }}{%- else %}{{ msg.content[0].text }}{%- endif %}"
    "{%- endif %}{%- endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def config(ids):
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "tie_word_embeddings": False,
        "dtype": "float32",
        "image_start_token_id": ids["<|begin_of_image|>"],
        "image_end_token_id": ids["<|end_of_image|>"],
        "video_start_token_id": ids["<|begin_of_video|>"],
        "video_end_token_id": ids["<|end_of_video|>"],
        # mlx-vlm reads vision_start_token_id, whose default is the published number
        "vision_start_token_id": ids["<|begin_of_image|>"],
        "vision_end_token_id": ids["<|end_of_image|>"],
        "image_token_id": ids["<|image|>"],
        "video_token_id": ids["<|video|>"],
        "text_config": {
            "attention_bias": True,
            "attention_dropout": 0.0,
            "eos_token_id": [ids["<|endoftext|>"], ids["<|user|>"]],
            "pad_token_id": ids["<|endoftext|>"],
            "hidden_act": "silu",
            "hidden_size": 64,
            "initializer_range": 0.02,
            "intermediate_size": 128,
            "max_position_embeddings": 2048,
            "model_type": "glm4v_text",
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "partial_rotary_factor": 0.5,
            "rms_norm_eps": 1e-05,
            "rope_theta": 10000.0,
            "rope_scaling": {"mrope_section": [2, 1, 1], "type": "default", "rope_type": "default"},
            "use_cache": True,
            "head_dim": 16,
            "rope_parameters": {
                "mrope_section": [2, 1, 1],
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
            "vocab_size": max(ids.values()) + 1,
        },
        "vision_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "depth": 3,
            "hidden_act": "silu",
            "hidden_dropout_prob": 0.0,
            "hidden_size": 48,
            "image_size": SIDE,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": 128,
            "model_type": "glm4v_vision",
            "num_heads": 3,
            "out_hidden_size": 64,
            "patch_size": PATCH,
            "rms_norm_eps": 1e-05,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
        },
    }


def build(folder):
    folder = Path(folder)
    ids = zoo.byte_tokenizer(
        folder,
        SPECIAL,
        {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"},
        "PreTrainedTokenizerFast",
        TEMPLATE,
        words=WORDS,
        processor_class="Glm4vProcessor",
    )
    zoo.write_json(folder / "config.json", config(ids))
    unit = (PATCH * MERGE) ** 2
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    zoo.write_json(
        folder / "preprocessor_config.json",
        {
            "size": {"shortest_edge": 2 * 8 * unit, "longest_edge": 2 * 64 * unit},
            "do_rescale": True,
            "patch_size": PATCH,
            "temporal_patch_size": 2,
            "merge_size": MERGE,
            "image_mean": mean,
            "image_std": std,
            "image_processor_type": "Glm4vImageProcessor",
            "processor_class": "Glm4vProcessor",
        },
    )
    zoo.write_json(
        folder / "video_preprocessor_config.json",
        {
            "size": {"shortest_edge": 8 * unit, "longest_edge": 256 * unit},
            "do_rescale": True,
            "patch_size": PATCH,
            "temporal_patch_size": 2,
            "merge_size": MERGE,
            "image_mean": mean,
            "image_std": std,
            "video_processor_type": "Glm4vVideoProcessor",
            "processor_class": "Glm4vProcessor",
        },
    )
    zoo.write_json(
        folder / "generation_config.json",
        {
            "eos_token_id": [ids["<|endoftext|>"], ids["<|user|>"]],
            "pad_token_id": ids["<|endoftext|>"],
            "do_sample": False,
        },
    )
    zoo.write_weights(folder)
