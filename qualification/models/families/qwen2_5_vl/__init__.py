"""Qwen2.5-VL: windows of attention in the vision tower, RMS norms, a gated MLP."""

from qualification.models.families import Canary, Family, Gguf, qwen_vl
from qualification.models.families.qwen2_5_vl import gguf, layout

FAMILY = Family(
    "qwen2_5_vl",
    image_tokens=qwen_vl.image_tokens,
    image_tokens_by_files=qwen_vl.image_tokens_by_files,
    llama_cpp_settings=qwen_vl.llama_cpp_settings,
    published=layout.published,
    mlx_names=qwen_vl.MLX_NAMES,
    gguf=Gguf("qwen2vl", gguf.text, gguf.vision, gguf.vision_layers, gguf.figures),
    canary=Canary("fixtures.make_canaries.qwen2_5_vl:Qwen25VL", end_of_turn="<|im_end|>"),
)
