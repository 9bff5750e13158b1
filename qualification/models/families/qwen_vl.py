"""What both generations of Qwen-VL share: text model, patches, attention, merger, image tokens."""

from __future__ import annotations

import math

from qualification.models.families.parts import Config, Shapes, decoder, linear, norm

LLAMA_CPP_LIMITS = (8, 4096)
"""Least and most tokens of an image: ``set_limit_image_tokens(8, 4096)`` in llama.cpp's
``tools/mtmd/clip.cpp``, whatever the published files say."""

MLX_NAMES = (
    ("visual.", "vision_tower."),
    ("model.", "language_model.model."),
    ("lm_head.", "language_model.lm_head."),
)


def frame(config: Config, width: int, out: int, *, norm_bias: bool) -> Shapes:
    """All tensors but the norms and the MLP of the vision tower's blocks."""
    vision = config["vision_config"]
    patch, merged = vision["patch_size"], width * vision["spatial_merge_size"] ** 2
    shapes = decoder(config, "model.", "lm_head", attention_bias=True)
    frames = vision["temporal_patch_size"]
    shapes["visual.patch_embed.proj.weight"] = (width, 3, frames, patch, patch)
    for layer in range(vision["depth"]):
        shapes |= linear(f"visual.blocks.{layer}.attn.qkv", 3 * width, width)
        shapes |= linear(f"visual.blocks.{layer}.attn.proj", width, width)
    shapes |= norm("visual.merger.ln_q", width, bias=norm_bias)
    shapes |= linear("visual.merger.mlp.0", merged, merged)
    return shapes | linear("visual.merger.mlp.2", out, merged)


def image_tokens(
    width: int,
    height: int,
    *,
    unit: int = 28,
    min_pixels: int = 56 * 56,
    max_pixels: int = 28 * 28 * 16384,
) -> int:
    """One token for each ``unit`` x ``unit`` pixels after resizing.

    ``unit`` is patch size times merge size. Source: ``smart_resize`` of transformers'
    ``image_processing_qwen2_vl.py``, which refuses sides that differ more than 200 fold; here they
    are counted as if it did not.
    """
    # A side of less than half a unit rounds to zero here; then the image has too few pixels and
    # grows from its true size.
    rows, columns = (round(side / unit) for side in (height, width))
    if rows * columns * unit**2 > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows, columns = (max(1, math.floor(side / shrink / unit)) for side in (height, width))
    elif rows * columns * unit**2 < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows, columns = (math.ceil(side * grow / unit) for side in (height, width))
    return rows * columns


def image_tokens_by_files(config: Config, settings: Config, width: int, height: int) -> int:
    """The same by the limits in ``preprocessor_config.json``."""
    del config
    # Newer files give the limits, in pixels too, as if they were edges.
    size = settings.get("size", {})
    return image_tokens(
        width,
        height,
        unit=settings["patch_size"] * settings["merge_size"],
        min_pixels=settings.get("min_pixels") or size["shortest_edge"],
        max_pixels=settings.get("max_pixels") or size["longest_edge"],
    )


def llama_cpp_settings(settings: Config) -> Config:
    """The preprocessor's settings with llama.cpp's limits in place of the published ones."""
    pixels = (settings["patch_size"] * settings["merge_size"]) ** 2
    least, most = LLAMA_CPP_LIMITS
    return {**settings, "min_pixels": least * pixels, "max_pixels": most * pixels}
