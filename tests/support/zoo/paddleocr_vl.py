"""PaddleOCR-VL: ERNIE 4.5 text model with M-RoPE, NaViT SigLIP tower."""

from pathlib import Path

from tests.support import zoo

PATCH, MERGE = 14, 2
SPECIAL = (
    "<|begin_of_sentence|>",
    "<|end_of_sentence|>",
    "</s>",
    "<|IMAGE_START|>",
    "<|IMAGE_END|>",
    "<|IMAGE_PLACEHOLDER|>",
    "<|VIDEO_PLACEHOLDER|>",
)
TEMPLATE = (
    "{%- set cls_token = '<|begin_of_sentence|>' -%}{{- cls_token -}}{%- for message in messages -%}"
    "{%- if message['role'] == 'user' -%}{{- 'User: ' -}}"
    "{%- if message['content'] is string -%}{{- message['content'] + '\n' -}}{%- else -%}"
    "{%- for content in message['content'] -%}{%- if content['type'] == 'image' -%}{{ '<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>' }}"
    "{%- elif content['type'] == 'text' -%}{{ content['text'] }}{%- endif -%}{%- endfor -%}{{ '\n' }}{%- endif -%}"
    "{%- elif message['role'] == 'assistant' -%}{{- 'Assistant:\n' -}}"
    "{%- if message['content'] is string -%}{{ message['content'] }}{%- else -%}{{ message['content'][0]['text'] }}{%- endif -%}{{ '</s>' }}{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- 'Assistant:\n' -}}{%- endif -%}"
)


def config(ids):
    n = len(ids)
    return {
        "architectures": ["PaddleOCRVLForConditionalGeneration"],
        "model_type": "paddleocr_vl",
        "attention_probs_dropout_prob": 0.0,
        "compression_ratio": 1.0,
        "head_dim": 16,
        "hidden_act": "silu",
        "hidden_dropout_prob": 0.0,
        "hidden_size": 64,
        "ignored_index": -100,
        "image_token_id": ids["<|IMAGE_PLACEHOLDER|>"],
        "video_token_id": ids["<|VIDEO_PLACEHOLDER|>"],
        "vision_start_token_id": ids["<|IMAGE_START|>"],
        "vision_end_token_id": ids["<|IMAGE_END|>"],
        "intermediate_size": 128,
        "max_position_embeddings": 2048,
        "max_sequence_length": None,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": ids["</s>"],
        "rms_norm_eps": 1e-05,
        "rope_is_neox_style": True,
        "rope_scaling": {"mrope_section": [2, 3, 3], "rope_type": "default", "type": "default"},
        "rope_theta": 10000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_bias": False,
        "use_cache": True,
        "use_flash_attention": False,
        "vocab_size": n,
        "weight_share_add_bias": True,
        "vision_config": {
            "architectures": ["PaddleOCRVisionModel"],
            "attention_dropout": 0.0,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 48,
            "image_size": 84,
            "intermediate_size": 96,
            "layer_norm_eps": 1e-06,
            "model_type": "paddleocr_vl",
            "num_attention_heads": 3,
            "num_channels": 3,
            "num_hidden_layers": 3,
            "pad_token_id": 0,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "tokens_per_second": 2,
            "torch_dtype": "float32",
        },
    }


def build(folder):
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder = Path(folder)
    roles = {"image_token": "<|IMAGE_PLACEHOLDER|>"}
    ids = zoo.gemma_tokenizer(
        folder,
        SPECIAL,
        TEMPLATE,
        {
            "tokenizer_class": "LlamaTokenizerFast",
            "bos_token": "<bos>",
            "eos_token": "</s>",
            "add_bos_token": False,
            **roles,
            "extra_special_tokens": roles,
            "processor_class": "PaddleOCRVLProcessor",
        },
    )
    zoo.write_json(folder / "config.json", config(ids))
    unit = (PATCH * MERGE) ** 2
    zoo.write_json(
        folder / "preprocessor_config.json",
        {
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "image_processor_type": "PaddleOCRVLImageProcessor",
            "max_pixels": 64 * unit,
            "min_pixels": 8 * unit,
            "merge_size": MERGE,
            "patch_size": PATCH,
            "processor_class": "PaddleOCRVLProcessor",
            "resample": 3,
            "rescale_factor": 1 / 255,
            "temporal_patch_size": 1,
        },
    )
    zoo.write_json(folder / "processor_config.json", {"processor_class": "PaddleOCRVLProcessor"})
    zoo.write_json(
        folder / "generation_config.json",
        {"eos_token_id": ids["</s>"], "pad_token_id": 0, "do_sample": False},
    )
    published = AutoConfig.from_pretrained(folder)
    # transformers 5.23 reads the published flat "tie_word_embeddings": false as true
    published.tie_word_embeddings = published.text_config.tie_word_embeddings = False
    model = AutoModelForImageTextToText.from_config(published).float()
    zoo.save(zoo.randomise(model), folder)
