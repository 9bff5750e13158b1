"""Tokens of an image for LLaVA-NeXT."""

from __future__ import annotations

GRIDS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""Height and width in pixels of the tilings of LLaVA 1.6 (``image_grid_pinpoints``)."""


def image_tokens(
    width: int,
    height: int,
    *,
    tile: int = 336,
    patch: int = 14,
    grids: tuple[tuple[int, int], ...] = GRIDS,
) -> int:
    """An overview, and the best grid's patches without padding, a newline for each row.

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
