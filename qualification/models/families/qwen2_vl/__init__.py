"""Qwen2-VL: full attention in the vision tower, layer norms, rotary positions in three axes."""

from qualification.models.families import Canary, Family, qwen_vl
from qualification.models.families.qwen2_vl.layout import published

FAMILY = Family(
    "qwen2_vl",
    image_tokens=qwen_vl.image_tokens,
    image_tokens_by_files=qwen_vl.image_tokens_by_files,
    llama_cpp_settings=qwen_vl.llama_cpp_settings,
    published=published,
    mlx_names=qwen_vl.MLX_NAMES,
    canary=Canary("fixtures.make_canaries.qwen2_vl:Qwen2VL", end_of_turn="<|im_end|>"),
)
