"""Tokens of an image for SmolVLM and SmolVLM2."""

from __future__ import annotations

import math

from qualification.models.families.parts import Config


def image_tokens(
    width: int, height: int, *, longest_edge: int = 2048, tile: int = 512, tokens_per_tile: int = 64
) -> int:
    """Tiles of ``tile`` pixels and, if there are several, an overview.

    An image is first brought to ``longest_edge``, a small one too. Source: ``resize`` and
    ``split_images`` of transformers' ``image_processing_idefics3.py``.
    """
    width, height = _with_longest_edge(width, height, longest_edge)
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        height = math.ceil(int(width / ratio) / tile) * tile
    else:
        height = math.ceil(height / tile) * tile
        width = math.ceil(int(height * ratio) / tile) * tile
    tiles = max(1, width // tile) * max(1, height // tile)
    return (tiles + (tiles > 1)) * tokens_per_tile


def image_tokens_by_files(config: Config, settings: Config, width: int, height: int) -> int:
    """The same by the sizes in the model's files; one tile where images are not split."""
    tile = settings["max_image_size"]["longest_edge"]
    side = tile // config["vision_config"]["patch_size"] // config["scale_factor"]
    if not settings.get("do_image_splitting", True):
        return int(side**2)
    longest = settings["size"]["longest_edge"]
    return image_tokens(width, height, longest_edge=longest, tile=tile, tokens_per_tile=side**2)


def _with_longest_edge(width: int, height: int, longest: int) -> tuple[int, int]:
    ratio = width / height
    if width >= height:
        short = int(longest / ratio)
        return longest, max(1, short + short % 2)
    short = int(longest * ratio)
    return max(1, short + short % 2), longest
