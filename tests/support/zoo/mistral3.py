"""Mistral 3: Pixtral tower with a 2 x 2 patch merger."""

from pathlib import Path

from tests.support import zoo

PATCH, MERGE, LONGEST = 14, 2, 140
SPECIAL = (
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[THINK]",
    "[/THINK]",
)
WORDS = (  # tekken
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{{ bos_token }}{%- for message in messages %}{%- if message['role'] == 'user' %}{{ '[INST]' }}"
    "{%- if message['content'] is string %}{{ message['content'] }}{%- else %}"
    "{%- for block in message['content'] %}{%- if block['type'] == 'text' %}{{ block['text'] }}"
    "{%- elif block['type'] in ['image', 'image_url'] %}{{ '[IMG]' }}{%- endif %}{%- endfor %}{%- endif %}{{ '[/INST]' }}"
    "{%- elif message['role'] == 'assistant' %}{%- if message['content'] is string %}{{ message['content'] + eos_token }}"
    "{%- else %}{{ message['content'][0]['text'] + eos_token }}{%- endif %}{%- endif %}{%- endfor %}"
)


def config(ids):
    n = max(ids.values()) + 1
    text = {
        "attention_dropout": 0.0,
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 128,
        "max_position_embeddings": 2048,
        "model_type": "mistral",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "sliding_window": None,
        "use_cache": True,
        "vocab_size": n,
        "tie_word_embeddings": False,
    }
    return {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "image_token_index": ids["[IMG]"],
        "model_type": "mistral3",
        "multimodal_projector_bias": False,
        "projector_hidden_act": "gelu",
        "spatial_merge_size": MERGE,
        "dtype": "float32",
        "tie_word_embeddings": False,
        "text_config": text,
        "vision_feature_layer": -1,
        "vision_config": {
            "attention_dropout": 0.0,
            "head_dim": 16,
            "hidden_act": "silu",
            "hidden_size": 48,
            "image_size": LONGEST,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "model_type": "pixtral",
            "num_attention_heads": 3,
            "num_channels": 3,
            "num_hidden_layers": 3,
            "patch_size": PATCH,
            "rope_theta": 10000.0,
        },
    }


def build(folder):
    folder = Path(folder)
    ids = zoo.byte_tokenizer(
        folder,
        SPECIAL,
        {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"},
        "PreTrainedTokenizerFast",
        TEMPLATE,
        words=WORDS,
        processor_class="PixtralProcessor",
        extra={"add_bos_token": True, "add_eos_token": False},
    )
    zoo.write_json(folder / "config.json", config(ids))
    zoo.write_json(
        folder / "processor_config.json",
        {
            "image_break_token": "[IMG_BREAK]",
            "image_end_token": "[IMG_END]",
            "image_token": "[IMG]",
            "patch_size": PATCH,
            "processor_class": "PixtralProcessor",
            "spatial_merge_size": MERGE,
        },
    )
    zoo.write_json(
        folder / "preprocessor_config.json",
        {
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "image_processor_type": "PixtralImageProcessorFast",
            "patch_size": PATCH,
            "processor_class": "PixtralProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"longest_edge": LONGEST},
        },
    )
    zoo.write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": ids["<s>"],
            "eos_token_id": ids["</s>"],
            "pad_token_id": ids["<pad>"],
            "do_sample": False,
        },
    )
    zoo.write_weights(folder)
