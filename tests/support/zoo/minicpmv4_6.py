"""MiniCPM-V 4.6: Qwen3.5 text model, SigLIP with a window merger, slices with an overview."""

from pathlib import Path

from tests.support import zoo
from tests.support.zoo import qwen3_5

PATCH, SCALE = 14, 112  # sides become multiples of 56; a slice has at most 112 x 112 pixels
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<image>",
    "</image>",
    "<slice>",
    "</slice>",
    "<image_id>",
    "</image_id>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<unk>",
)
TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}{%- for item in message.content %}"
    "{%- if item.type == 'image' %}{{- '<|image_pad|>\n' }}{%- elif item.type == 'video' %}{{- '<|video_pad|>\n' }}"
    "{%- elif item.type == 'text' %}{{- item.text }}{%- endif %}{%- endfor %}{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is true %}{{- '<think>\n' }}{%- else %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}"
)


def config(ids):
    qwen = qwen3_5.config({**ids, "<|vision_start|>": 0, "<|vision_end|>": 0})
    text = qwen["text_config"]
    text["vocab_size"] = max(ids.values()) + 1
    return {
        "architectures": ["MiniCPMV4_6ForConditionalGeneration"],
        "model_type": "minicpmv4_6",
        "image_size": 112,
        "insert_layer_id": 0,
        "downsample_mode": "16x",
        "merge_kernel_size": [2, 2],
        "merger_times": 1,
        "drop_vision_last_layer": False,
        "dtype": "float32",
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "tie_word_embeddings": False,
        "text_config": text,
        "vision_config": {
            "attention_dropout": 0.0,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "image_size": 980,
            "intermediate_size": 64,  # 70 x 70 positions: fixed in llama.cpp
            "layer_norm_eps": 1e-06,
            "model_type": "minicpmv4_6_vision",
            "num_attention_heads": 2,
            "num_channels": 3,
            "num_hidden_layers": 3,
            "patch_size": PATCH,
            "window_kernel_size": [2, 2],
        },
    }


def build(folder):
    folder = Path(folder)
    roles = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    }
    ids = zoo.byte_tokenizer(
        folder,
        SPECIAL,
        {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>"},
        "Qwen2Tokenizer",
        TEMPLATE,
        words=qwen3_5.WORDS,
        processor_class="MiniCPMV4_6Processor",
        normalizer={"type": "NFC"},
        plain_added=("<think>", "</think>"),
        extra={**roles, "extra_special_tokens": roles},
    )
    zoo.write_json(folder / "config.json", config(ids))
    common = {
        "downsample_mode": "16x",
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "max_slice_nums": 9,
        "patch_size": PATCH,
        "processor_class": "MiniCPMV4_6Processor",
        "scale_resolution": SCALE,
        "slice_mode": True,
        "use_image_id": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "do_convert_rgb": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
    }
    zoo.write_json(
        folder / "preprocessor_config.json",
        {**common, "image_processor_type": "MiniCPMV4_6ImageProcessor"},
    )
    zoo.write_json(
        folder / "video_preprocessor_config.json",
        {**common, "video_processor_type": "MiniCPMV4_6VideoProcessor"},
    )
    zoo.write_json(folder / "processor_config.json", {"processor_class": "MiniCPMV4_6Processor"})
    zoo.write_json(
        folder / "generation_config.json",
        {
            "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
            "pad_token_id": ids["<|endoftext|>"],
            "do_sample": False,
        },
    )
    zoo.write_weights(folder)
    qwen3_5.add_mtp(folder)
