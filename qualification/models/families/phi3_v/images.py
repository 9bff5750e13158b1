"""Tokens of an image for Phi-3.5-vision."""

from __future__ import annotations

import math


def image_tokens(
    width: int, height: int, *, crops: int = 4, tile: int = 336, side: int = 12
) -> int:
    """Up to ``crops`` tiles and an overview, a newline for each row of features.

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
