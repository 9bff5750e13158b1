"""How many tokens an image becomes, by family: pure arithmetic on its width and height in pixels.

Each formula takes the settings of the family's published ``preprocessor_config.json`` unless it is
passed others; :func:`image_tokens_by_files` passes those of a model's own files. Counts are the
positions that hold the image's features, without the markers around them (SmolVLM's row and column
names, Qwen's start and end). The worker imports this module too: standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from qualification.core.errors import DeclarationError


def image_tokens(family: str, width: int, height: int) -> int:
    """Tokens of one image by the published settings.

    Raises DeclarationError for an unknown family or an image of no size.
    """
    if width < 1 or height < 1:
        raise DeclarationError(
            f"an image of {width} x {height} pixels has no size: write 1 or more"
        )
    try:
        count = FAMILIES[family]
    except KeyError:
        raise DeclarationError(
            f"how many tokens an image takes is not known for the family {family!r} (known: "
            f"{', '.join(FAMILIES)}): add it to image_tokens.py"
        ) from None
    return count(width, height)


def image_tokens_by_files(
    config: Mapping[str, Any], preprocessor: Mapping[str, Any], width: int, height: int
) -> int | None:
    """Tokens of one image by a model's ``config.json`` and ``preprocessor_config.json``.

    None for a family whose files are not read here. Raises KeyError or TypeError where a setting
    is missing or of the wrong type.
    """
    family = config.get("model_type")
    if family in ("qwen2_vl", "qwen2_5_vl"):
        # Newer files give the limits, in pixels too, as if they were edges.
        size = preprocessor.get("size", {})
        return qwen_vl(
            width,
            height,
            unit=preprocessor["patch_size"] * preprocessor["merge_size"],
            min_pixels=preprocessor.get("min_pixels") or size["shortest_edge"],
            max_pixels=preprocessor.get("max_pixels") or size["longest_edge"],
        )
    if family in ("smolvlm", "idefics3"):
        tile = preprocessor["max_image_size"]["longest_edge"]
        side = tile // config["vision_config"]["patch_size"] // config["scale_factor"]
        if not preprocessor.get("do_image_splitting", True):
            return int(side**2)
        longest = preprocessor["size"]["longest_edge"]
        return smolvlm(width, height, longest_edge=longest, tile=tile, tokens_per_tile=side**2)
    return None


def qwen_vl(
    width: int,
    height: int,
    *,
    unit: int = 28,
    min_pixels: int = 56 * 56,
    max_pixels: int = 28 * 28 * 16384,
) -> int:
    """Qwen2-VL and Qwen2.5-VL: one token for each ``unit`` x ``unit`` pixels after resizing.

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


def smolvlm(
    width: int, height: int, *, longest_edge: int = 2048, tile: int = 512, tokens_per_tile: int = 64
) -> int:
    """SmolVLM and SmolVLM2: tiles of ``tile`` pixels and, if there are several, an overview.

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


def _with_longest_edge(width: int, height: int, longest: int) -> tuple[int, int]:
    ratio = width / height
    if width >= height:
        short = int(longest / ratio)
        return longest, max(1, short + short % 2)
    short = int(longest * ratio)
    return max(1, short + short % 2), longest


LLAVA_GRIDS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""Height and width in pixels of the tilings of LLaVA 1.6 (``image_grid_pinpoints``)."""


def llava_next(
    width: int,
    height: int,
    *,
    tile: int = 336,
    patch: int = 14,
    grids: tuple[tuple[int, int], ...] = LLAVA_GRIDS,
) -> int:
    """LLaVA 1.6: an overview, and the best grid's patches without padding, a newline for each row.

    Source: ``_get_number_of_features`` of transformers' ``processing_llava_next.py`` and
    ``select_best_resolution`` of ``image_processing_utils.py``.
    """
    best_height, best_width = max(grids, key=lambda grid: _fitness(width, height, grid))
    side = tile // patch
    rows, columns = side * (best_height // tile), side * (best_width // tile)
    # The image fills one direction of the grid; the padding in the other one is removed.
    if width / height > columns / rows:
        filled = int(round(height * (columns / width), 7))
        rows -= (rows - filled) // 2 * 2
    else:
        filled = int(round(width * (rows / height), 7))
        columns -= (columns - filled) // 2 * 2
    return side * side + rows * columns + rows


def _fitness(width: int, height: int, grid: tuple[int, int]) -> tuple[int, int]:
    """Pixels of the image that a grid shows, and the negative of the pixels that it wastes."""
    grid_height, grid_width = grid
    scale = min(grid_width / width, grid_height / height)
    scaled = int(width * scale) * int(height * scale)
    effective = min(scaled, width * height)
    return effective, effective - grid_width * grid_height


def phi3_v(width: int, height: int, *, crops: int = 4, tile: int = 336, side: int = 12) -> int:
    """Phi-3.5-vision: up to ``crops`` tiles and an overview, a newline for each row of features.

    Source: ``calc_num_image_tokens_from_image_size`` of the repository's
    ``processing_phi3_v.py``; it turns an upright image on its side to count.
    """
    width, height = max(width, height), min(width, height)
    ratio = width / height
    scale = 1
    while scale * math.ceil(scale / ratio) <= crops:
        scale += 1
    scale -= 1
    columns, rows = scale, max(1, math.ceil(int(scale * tile / ratio) / tile))
    return (rows * columns + 1) * side * side + 1 + (rows + 1) * side


def moondream2(_width: int, _height: int) -> int:
    """Moondream2: 27 x 27 features whatever the size; further crops are merged into them."""
    return 27 * 27


TILE_PATCHES = {"smolvlm": 1024, "smolvlm2": 1024, "llava_next": 576, "phi3_v": 576}
"""Patches of one tile, for families that split an image into tiles of one size."""

FAMILIES: dict[str, Callable[[int, int], int]] = {
    "qwen2_vl": qwen_vl,
    "qwen2_5_vl": qwen_vl,
    "smolvlm": smolvlm,
    "smolvlm2": smolvlm,
    "llava_next": llava_next,
    "phi3_v": phi3_v,
    "moondream2": moondream2,
}
"""Family, as its ``config.json`` names it -> tokens of a width and a height."""
