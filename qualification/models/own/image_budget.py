"""How many tokens an image becomes by a model's own files, whatever its family."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qualification.core.declarations import ImageBudget
from qualification.models.own.reading import count, part

_SIDE = 10_000
"""A ``longest_edge`` below is the side of an image in pixels, above the pixels of all of it."""


def image_budget(config: Mapping[str, Any], settings: Mapping[str, Any]) -> ImageBudget | None:
    """By ``config.json`` and the image processor's settings; None where they do not say it.

    The count is fixed, or limited, or follows from the most pixels over those of a token. An image
    that is cut into tiles has so many times that, and one more of the whole. Markers between are
    not counted.
    """
    vision = part(config, "vision_config")
    fixed = count(settings, "max_soft_tokens", "max_image_tokens", "image_seq_length") or count(
        config, "mm_tokens_per_image", "image_seq_length", "image_seq_len"
    )
    tiles = 0
    if settings.get("do_image_splitting") or settings.get("crop_to_patches"):
        tiles = count(settings, "max_tiles", "max_patches", "max_image_splits")
    if fixed and tiles:
        size = part(settings, "size")
        side = count(settings, "tile_size") or count(size, "height", "longest_edge")
        least = count(settings, "min_image_tokens") or fixed
        return ImageBudget((tiles + 1) * fixed, max(1, side**2 // fixed), least)
    if fixed:
        return ImageBudget(fixed)
    patch = count(settings, "patch_size") or count(vision, "patch_size")
    merge = count(settings, "merge_size", "spatial_merge_size") or count(
        {**vision, **config}, "spatial_merge_size", "downsample_factor"
    )
    edge = count(part(settings, "size"), "longest_edge")
    pixels = count(settings, "max_pixels") or (edge**2 if edge < _SIDE else edge)
    of_token = (patch * max(1, merge)) ** 2
    if not of_token or pixels < of_token:
        return None
    return ImageBudget(pixels // of_token, of_token)
