"""How many tokens images must become by the settings in a model's files.

The arithmetic is done here and not asked of the library, so that a library which ignores a setting
(``max_pixels`` has been, silently: 11,844 tokens in place of 972) is caught. Families whose files
are not read give −1.

llama.cpp does not read ``preprocessor_config.json``. For Qwen's images it has limits of its own,
written into its code and not into the GGUF: see :data:`LLAMA_CPP`.
"""

from __future__ import annotations

import json
from pathlib import Path

from qualification.core.protocol import GenerateRequest
from qualification.models.image_tokens import image_tokens_by_files
from qualification.servers.chat import of_kind

LLAMA_CPP = (8, 4096)
"""Least and most tokens of an image for Qwen2-VL and 2.5-VL: ``set_limit_image_tokens(8, 4096)``
in its ``tools/mtmd/clip.cpp``, whatever the published files say."""


def expected(folder: Path, request: GenerateRequest, limits: tuple[int, int] | None = None) -> int:
    """Image tokens of a request; −1 where it did not ask for phases, has a clip, or is unknown.

    ``folder`` holds the model's ``config.json`` and ``preprocessor_config.json``; ``limits`` in
    tokens stand in for those of a Qwen's settings in pixels.
    """
    if not request.phases or of_kind(request.messages, "video"):
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
        for part in of_kind(request.messages, "image"):
            with Image.open(part.value) as image:
                count = image_tokens_by_files(config, settings, *image.size)
            if count is None:
                return -1
            total += count
    except (ImportError, OSError, ValueError, KeyError, TypeError):
        return -1  # no such files (a GGUF repository has none), or written in another way
    return total
