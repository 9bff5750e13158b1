"""Lets mlx-vlm load a Moondream2 of another size than the published one, without a network.

The model's classes take every size from ``config.json``; the processor takes none: crops of 378
pixels and 27 x 27 = 729 image tokens are constants of its code, and its tokenizer is the one of
another hub repository, also if the model's folder has one. So for a canary these constants are set
to the values in its files; everything else is the library's own code, in any release.

It affects only folders that contain that repository's files under its name, and lasts for the life
of the process: a real Moondream2 cannot be loaded afterwards.
"""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from qualification.core.errors import BackendFailed

TOKENIZER = "moondream/starmie-v1"
_TYPES = ("moondream1", "moondream2")
_SIZES = ("crop_size", "max_crops", "overlap_margin")


def resize_if_canary(folder: Path) -> tuple[str, ...]:
    """Make mlx-vlm's Moondream processor as small as ``folder``'s files say; return notes on it.

    Does nothing and returns no note for other folders. Call it before ``mlx_vlm.load``.

    Raises:
        BackendFailed: this release's code lacks the constants, or the sizes are no numbers.

    """
    path, tokenizer = folder / "config.json", folder / TOKENIZER
    if not path.is_file() or not tokenizer.is_dir():
        return ()
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("model_type") not in _TYPES:
        return ()
    vision = config.get("vision_config", {})
    sizes = [vision.get(name) for name in (*_SIZES, "patch_size")]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise BackendFailed(f"vision_config in {path} has sizes that are no whole numbers")
    crop, *_, patch = sizes
    shared: Any = import_module("mlx_vlm.models.moondream3.processing_moondream3")
    family: Any = import_module("mlx_vlm.models.moondream2.processing_moondream2")
    initialise = shared.Moondream3Processor.__init__
    optional = [
        name
        for name, parameter in inspect.signature(initialise).parameters.items()
        if parameter.default is not parameter.empty
    ]
    has_constants = hasattr(family, "TOKENIZER_REPO") and hasattr(shared, "NUM_VISION_TOKENS")
    if not has_constants or tuple(optional) != _SIZES:
        raise BackendFailed(
            "mlx-vlm's Moondream processor is written in another way in this release"
        )
    family.TOKENIZER_REPO = str(tokenizer)
    shared.NUM_VISION_TOKENS = (crop // patch) ** 2
    initialise.__defaults__ = tuple(sizes[:-1])
    return (f"moondream2 with crops of {crop} px instead of 378, set by us",)
