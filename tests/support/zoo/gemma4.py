"""Gemma 4, the E form: per-layer embeddings, shared keys and values, sliding and full layers."""

from pathlib import Path

from tests.support import zoo

PATCH, POOL, SOFT = (
    4,
    3,
    70,
)  # max_soft_tokens is one of 70, 140, 280, 560, 1120: a picture is about 70 tokens
UNIT = PATCH * POOL
SPECIAL = (
    "<|turn>",
    "<turn|>",
    "<|image>",
    "<image|>",
    "<|image|>",
    "<|audio>",
    "<audio|>",
    "<|audio|>",
    "<|video|>",
    "<|think|>",
    "<|channel>",
    "<channel|>",
)
TEMPLATE = (
    "{{ bos_token }}{%- if enable_thinking is defined and enable_thinking -%}{{ '<|turn>system\n<|think|>\n<turn|>\n' }}{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}{{ '<|turn>' + role + '\n' }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- else -%}"
    "{%- for item in message['content'] -%}"
    "{%- if item['type'] == 'text' -%}{{ item['text'] | trim }}"
    "{%- elif item['type'] == 'image' -%}{{ '<|image|>' }}{%- elif item['type'] == 'video' -%}{{ '<|video|>' }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{{ '<turn|>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|turn>model\n' }}"
    "{%- if not enable_thinking | default(false) -%}{{ '<|channel>thought\n<channel|>' }}{%- endif -%}{%- endif -%}"
)


def config(ids):
    text = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attention_k_eq_v": False,
        "bos_token_id": 2,
        "dtype": "float32",
        "enable_moe_block": False,
        "eos_token_id": 1,
        "expert_intermediate_size": None,
        "final_logit_softcapping": 30.0,
        "global_head_dim": 32,
        "head_dim": 16,
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": 64,
        "hidden_size_per_layer_input": 8,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "layer_types": ["sliding_attention", "full_attention"] * 3,
        "max_position_embeddings": 2048,
        "model_type": "gemma4_text",
        "num_attention_heads": 4,
        "num_experts": None,
        "num_global_key_value_heads": None,
        "num_hidden_layers": 6,
        "num_key_value_heads": 2,
        "num_kv_shared_layers": 2,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-06,
        "rope_parameters": {
            "full_attention": {
                "partial_rotary_factor": 0.25,
                "rope_theta": 1000000.0,
                "rope_type": "proportional",
            },
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        },
        "sliding_window": 96,
        "tie_word_embeddings": True,
        "top_k_experts": None,
        "use_bidirectional_attention": None,
        "use_cache": True,
        "use_double_wide_mlp": True,
        "vocab_size": len(ids),
        "vocab_size_per_layer_input": len(ids),
    }
    return {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "audio_config": None,
        "audio_token_id": ids["<|audio|>"],
        "boa_token_id": ids["<|audio>"],
        "boi_token_id": ids["<|image>"],
        "dtype": "float32",
        "eoa_token_id": ids["<audio|>"],
        "eoa_token_index": ids["<audio|>"],
        "eoi_token_id": ids["<image|>"],
        "eos_token_id": [1, ids["<turn|>"]],
        "image_token_id": ids["<|image|>"],
        "video_token_id": ids["<|video|>"],
        "initializer_range": 0.02,
        "text_config": text,
        "tie_word_embeddings": True,
        "vision_soft_tokens_per_image": SOFT,
        "vision_config": {
            "attention_bias": False,
            "attention_dropout": 0.0,
            "default_output_length": SOFT,
            "dtype": "float32",
            "global_head_dim": 16,
            "head_dim": 16,
            "hidden_activation": "gelu_pytorch_tanh",
            "hidden_size": 48,
            "initializer_range": 0.02,
            "intermediate_size": 96,
            "max_position_embeddings": 2048,
            "model_type": "gemma4_vision",
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "num_key_value_heads": 3,
            "patch_size": PATCH,
            "pooling_kernel_size": POOL,
            "position_embedding_size": 256,
            "rms_norm_eps": 1e-06,
            "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"},
            "standardize": False,
            "use_clipped_linears": True,
        },
    }


def build(folder):
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = Path(folder)
    roles = {
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "image_token": "<|image|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "audio_token": "<|audio|>",
        "sot_token": "<|turn>",
        "eot_token": "<turn|>",
        "soc_token": "<|channel>",
        "eoc_token": "<channel|>",
        "think_token": "<|think|>",
    }  # what is not a role here is no CONTROL token in llama.cpp's conversion
    ids = zoo.gemma_tokenizer(
        folder,
        SPECIAL,
        TEMPLATE,
        {
            **roles,
            "extra_special_tokens": ["<|video|>"],
            "padding_side": "left",
            "processor_class": "Gemma4Processor",
        },
    )
    zoo.write_json(folder / "config.json", config(ids))
    image = {
        "do_convert_rgb": True,
        "do_normalize": False,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.0] * 3,
        "image_std": [1.0] * 3,
        "image_processor_type": "Gemma4ImageProcessor",
        "image_seq_length": SOFT,
        "max_soft_tokens": SOFT,
        "patch_size": PATCH,
        "pooling_kernel_size": POOL,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }
    video = {
        **image,
        "max_soft_tokens": SOFT,
        "num_frames": 32,
        "video_processor_type": "Gemma4VideoProcessor",
        "do_sample_frames": True,
    }
    del video["image_processor_type"]
    zoo.write_json(
        folder / "processor_config.json",
        {
            "audio_ms_per_token": 40,
            "audio_seq_length": 750,
            "image_seq_length": SOFT,
            "processor_class": "Gemma4Processor",
            "image_processor": image,
            "video_processor": video,
            "feature_extractor": {
                "feature_extractor_type": "Gemma4AudioFeatureExtractor",
                "feature_size": 128,
                "sampling_rate": 16000,
            },
        },
    )
    zoo.write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": 2,
            "pad_token_id": 0,
            "eos_token_id": [1, ids["<turn|>"]],
            "do_sample": False,
        },
    )
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder)).float()
    zoo.randomise(model, embed=0.12)
    for n, (name, b) in enumerate(model.named_buffers()):
        if name.endswith("layer_scalar"):
            b.fill_(0.8 + 0.05 * (n % 7))
        elif name.endswith(("_min", "_max")):
            b.fill_(-1.5 if name.endswith("_min") else 1.5)
        elif name.endswith(("std_bias", "std_scale")):
            b.copy_(
                0.1
                + 0.9 * (name.endswith("scale"))
                + 0.01 * __import__("torch").arange(b.numel()).reshape(b.shape) / b.numel()
            )
    zoo.save(model, folder)
