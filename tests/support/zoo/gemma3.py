"""Gemma 3: SigLIP, average pooling, five sliding layers and a full one, two rotary bases."""

from pathlib import Path

from tests.support import zoo

SPECIAL = (
    "<start_of_turn>",
    "<end_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<image_soft_token>",
)
SIDE, PATCH, TOKENS, LAYERS = 84, 14, 9, 6
TEMPLATE = (
    "{{ bos_token }}{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{%- set role = 'model' -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}"
    "{{ '<start_of_turn>' + role + '\n' }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}"
    "{%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}"
    "{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
    "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{ '<end_of_turn>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}"
)


def config(ids):
    return {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "boi_token_index": ids["<start_of_image>"],
        "eoi_token_index": ids["<end_of_image>"],
        "image_token_index": ids["<image_soft_token>"],
        "eos_token_id": [1, ids["<end_of_turn>"]],
        "initializer_range": 0.02,
        "mm_tokens_per_image": TOKENS,
        "torch_dtype": "float32",
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 96,
            "model_type": "gemma3_text",
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "sliding_window": 16,
            "sliding_window_pattern": 6,
            "vocab_size": len(ids),
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-06,
            "mm_tokens_per_image": TOKENS,
        },
        "vision_config": {
            "hidden_size": 48,
            "image_size": SIDE,
            "intermediate_size": 96,
            "model_type": "siglip_vision_model",
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "patch_size": PATCH,
            "vision_use_head": False,
        },
    }


def build(folder):
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = Path(folder)
    extra = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    ids = zoo.gemma_tokenizer(
        folder,
        SPECIAL,
        TEMPLATE,
        {**extra, "extra_special_tokens": extra, "processor_class": "Gemma3Processor"},
    )
    zoo.write_json(folder / "config.json", config(ids))
    zoo.write_json(
        folder / "processor_config.json",
        {"image_seq_length": TOKENS, "processor_class": "Gemma3Processor"},
    )
    zoo.write_json(
        folder / "preprocessor_config.json",
        {
            "do_convert_rgb": None,
            "do_normalize": True,
            "do_pan_and_scan": None,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "image_processor_type": "Gemma3ImageProcessor",
            "image_seq_length": TOKENS,
            "processor_class": "Gemma3Processor",
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"height": SIDE, "width": SIDE},
        },
    )
    zoo.write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": 2,
            "pad_token_id": 0,
            "eos_token_id": [1, ids["<end_of_turn>"]],
            "do_sample": False,
        },
    )
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder)).float()
    # transformers 5 drops a level of the published names and save_pretrained does not bring it back
    zoo.save(
        zoo.randomise(model, embed=0.12),
        folder,
        rename=lambda n: n.replace("vision_tower.", "vision_tower.vision_model.", 1),
    )
