"""LFM2-VL: gated short convolutions and attention, SigLIP 2 (NaViT), tiles and thumbnail."""

from pathlib import Path

from tests.support import zoo

SPECIAL = (
    "<|pad|>",
    "<|startoftext|>",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<image>",
    "<|image_start|>",
    "<|image_end|>",
    "<|img_thumbnail|>",
    *(f"<|img_row_{r}_col_{c}|>" for r in range(1, 5) for c in range(1, 5)),
)
WORDS = (  # llama 3's, as published
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = (
    "{{- bos_token -}}{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}{%- else -%}"
    "{%- for item in message['content'] -%}{%- if item['type'] == 'image' -%}{{- '<image>' -}}"
    "{%- elif item['type'] == 'text' -%}{{- item['text'] -}}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


def config(ids):
    return {
        "architectures": ["Lfm2VlForConditionalGeneration"],
        "model_type": "lfm2_vl",
        "do_image_splitting": True,
        "downsample_factor": 2,
        "encoder_patch_size": 16,
        "image_token_id": ids["<image>"],
        "image_token_index": ids["<image>"],
        "max_image_tokens": 256,
        "max_num_patches": 1024,
        "max_pixels_tolerance": 2.0,
        "max_tiles": 10,
        "min_image_tokens": 64,
        "min_tiles": 2,
        "tile_size": 512,
        "use_image_special_tokens": True,
        "use_thumbnail": True,
        "projector_bias": True,
        "projector_hidden_act": "gelu",
        "projector_hidden_size": 96,
        "projector_use_layernorm": True,
        "vision_feature_layer": -1,
        "tie_embedding": True,
        "dtype": "float32",
        "text_config": {
            "architectures": ["Lfm2ForCausalLM"],
            "block_auto_adjust_ff_dim": False,
            "block_dim": 64,
            "block_ff_dim": 128,
            "block_ffn_dim_multiplier": 1.0,
            "block_multiple_of": 32,
            "block_norm_eps": 1e-05,
            "block_use_swiglu": True,
            "bos_token_id": ids["<|startoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|pad|>"],
            "conv_L_cache": 3,
            "conv_bias": False,
            "conv_dim": 64,
            "conv_dim_out": 64,
            "hidden_size": 64,
            "intermediate_size": 128,
            "layer_types": ["conv", "full_attention", "conv", "full_attention"],
            "max_position_embeddings": 4096,
            "model_type": "lfm2",
            "norm_eps": 1e-05,
            "num_attention_heads": 4,
            "num_heads": 4,
            "num_hidden_layers": 4,
            "num_key_value_heads": 2,
            "rope_theta": 10000.0,
            "use_cache": True,
            "use_pos_enc": True,
            "vocab_size": max(ids.values()) + 1,
        },
        "vision_config": {
            "attention_dropout": 0.0,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 48,
            "intermediate_size": 96,
            "layer_norm_eps": 1e-06,
            "model_type": "siglip2_vision_model",
            "num_attention_heads": 3,
            "num_channels": 3,
            "num_hidden_layers": 3,
            "num_patches": 36,
            "patch_size": 16,
            "vision_use_head": False,
        },
    }


def build(folder):
    folder = Path(folder)
    roles = {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail": "<|img_thumbnail|>",
    }
    ids = zoo.byte_tokenizer(
        folder,
        SPECIAL,
        {"bos_token": "<|startoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|pad|>"},
        "PreTrainedTokenizerFast",
        TEMPLATE,
        words=WORDS,
        processor_class="Lfm2VlProcessor",
        extra={**roles, "extra_special_tokens": roles},
        context=4096,
    )
    zoo.write_json(folder / "config.json", config(ids))
    image = {
        "do_image_splitting": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "downsample_factor": 2,
        "encoder_patch_size": 16,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "image_processor_type": "Lfm2VlImageProcessorFast",
        "max_image_tokens": 256,
        "max_num_patches": 1024,
        "max_pixels_tolerance": 2.0,
        "max_tiles": 10,
        "min_image_tokens": 64,
        "min_tiles": 2,
        "processor_class": "Lfm2VlProcessor",
        "resample": 2,
        "rescale_factor": 1 / 255,
        "return_row_col_info": True,
        "size": {"height": 512, "width": 512},
        "tile_size": 512,
        "use_thumbnail": True,
    }
    zoo.write_json(folder / "preprocessor_config.json", image)
    zoo.write_json(
        folder / "processor_config.json",
        {"processor_class": "Lfm2VlProcessor", "use_image_special_tokens": True},
    )
    zoo.write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": ids["<|startoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|pad|>"],
            "do_sample": False,
        },
    )
    zoo.write_weights(
        folder,
        embed=0.12,
        rename=lambda n: (
            n.replace("vision_tower.", "vision_tower.vision_model.", 1)
            if ".vision_model." not in n
            else n
        ),
    )
