"""How many tokens pictures must become by the settings in a model's files.

The published arithmetic of each family, written out a second time so that a library which
ignores a setting (``max_pixels`` has been, silently: 11,844 tokens in place of 972) is caught.
Families whose arithmetic is not here give −1.

llama.cpp does not read ``preprocessor_config.json``. For Qwen's pictures it has limits of its own,
written into its code and not into the GGUF: see :data:`LLAMA_CPP`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qualification.backends import pictures
from qualification.core.protocol import GenerateRequest

LLAMA_CPP = (8, 4096)
"""Least and most tokens of a picture for Qwen2-VL and 2.5-VL: ``set_limit_image_tokens(8, 4096)``
in its ``tools/mtmd/clip.cpp``, whatever the published files say."""


def expected(folder: Path, request: GenerateRequest, limits: tuple[int, int] | None = None) -> int:
    """Image tokens of a request; −1 where it did not ask for phases, has a clip, or is unknown.

    ``folder`` holds the model's ``config.json`` and ``preprocessor_config.json``; ``limits`` in
    tokens stand in for those of a Qwen's settings in pixels.
    """
    if not request.phases or pictures.of_kind(request.messages, "video"):
        return -1
    try:
        from PIL import Image

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        if limits is not None and "merge_size" in settings:
            pixels = (settings["patch_size"] * settings["merge_size"]) ** 2
            least, most = limits
            settings |= {"min_pixels": least * pixels, "max_pixels": most * pixels}
        total = 0
        for part in pictures.of_kind(request.messages, "image"):
            with Image.open(part.value) as picture:
                count = of_picture(config, settings, *picture.size)
            if count < 0:
                return -1
            total += count
    except (ImportError, OSError, ValueError, KeyError, TypeError):
        return -1  # no such files (a GGUF repository has none), or written in another way
    return total


def of_picture(
    config: Mapping[str, Any], settings: Mapping[str, Any], width: int, height: int
) -> int:
    """Tokens of one picture of so many pixels, −1 for a family that is not known here.

    KeyError or TypeError where a known family's settings lack what its arithmetic needs.
    """
    family = config.get("model_type")
    if family in ("qwen2_vl", "qwen2_5_vl"):
        return _qwen(settings, width, height)
    if family in ("smolvlm", "idefics3"):
        return _idefics3(config, settings, width, height)
    return -1


def _qwen(settings: Mapping[str, Any], width: int, height: int) -> int:
    """One token for each square of merged patches, after ``smart_resize``.

    Source: qwen-vl-utils and transformers' ``image_processing_qwen2_vl``: both sides become
    multiples of patch × merge, the number of pixels stays within its limits.
    """
    factor = settings["patch_size"] * settings["merge_size"]
    size = settings.get("size", {})
    least = settings.get("min_pixels") or size["shortest_edge"]
    most = settings.get("max_pixels") or size["longest_edge"]
    rows = round(height / factor) * factor
    columns = round(width / factor) * factor
    if rows * columns > most:
        scale = math.sqrt(height * width / most)
        rows = max(factor, math.floor(height / scale / factor) * factor)
        columns = max(factor, math.floor(width / scale / factor) * factor)
    elif rows * columns < least:
        scale = math.sqrt(least / (height * width))
        rows = math.ceil(height * scale / factor) * factor
        columns = math.ceil(width * scale / factor) * factor
    return int((rows // factor) * (columns // factor))


def _idefics3(
    config: Mapping[str, Any], settings: Mapping[str, Any], width: int, height: int
) -> int:
    """Tiles of the enlarged picture and one overview, each of equally many tokens.

    Source: transformers' ``image_processing_idefics3``: the longer edge becomes
    ``size.longest_edge``, then both are rounded up to whole tiles; (side / patch / scale)² tokens.
    """
    tile = settings["max_image_size"]["longest_edge"]
    each = (tile // config["vision_config"]["patch_size"] // config["scale_factor"]) ** 2
    if not settings.get("do_image_splitting", True):
        return int(each)
    longest = settings["size"]["longest_edge"]
    aspect = width / height
    if width >= height:
        columns_px = longest
        rows_px = int(longest / aspect)
        rows_px += rows_px % 2
    else:
        rows_px = longest
        columns_px = int(longest * aspect)
        columns_px += columns_px % 2
    rows_px, columns_px = max(rows_px, 1), max(columns_px, 1)
    if columns_px >= rows_px:
        columns = math.ceil(columns_px / tile)
        rows = math.ceil(int(columns * tile / (columns_px / rows_px)) / tile)
    else:
        rows = math.ceil(rows_px / tile)
        columns = math.ceil(int(rows * tile * (columns_px / rows_px)) / tile)
    # A picture of one tile is its own overview.
    tiles = rows * columns + 1 if rows * columns > 1 else 1
    return int(tiles * each)
