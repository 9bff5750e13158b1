"""How many tokens images must become by the settings in a model's files.

The arithmetic is done here and not asked of the library, so that a library which ignores a setting
(``max_pixels`` has been, silently: 11,844 tokens in place of 972) is caught. Families whose files
are not read give −1.

llama.cpp does not read ``preprocessor_config.json``. For Qwen's images it has limits of its own,
written into its code and not into the GGUF.
"""

from __future__ import annotations

import json
from pathlib import Path

from qualification.core.protocol import GenerateRequest
from qualification.models.image_tokens import image_tokens_by_files
from qualification.servers.chat import of_kind


def expected(folder: Path, request: GenerateRequest, *, in_llama_cpp: bool = False) -> int:
    """Image tokens of a request; −1 where it did not ask for phases, has a clip, or is unknown.

    ``folder`` holds the model's ``config.json`` and ``preprocessor_config.json``.
    """
    if not request.phases or of_kind(request.messages, "video"):
        return -1
    try:
        from PIL import Image

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        total = 0
        for part in of_kind(request.messages, "image"):
            with Image.open(part.value) as image:
                count = image_tokens_by_files(
                    config, settings, *image.size, in_llama_cpp=in_llama_cpp
                )
            if count is None:
                return -1
            total += count
    except (ImportError, OSError, ValueError, KeyError, TypeError):
        return -1  # no such files (a GGUF repository has none), or written in another way
    return total
