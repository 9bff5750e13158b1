"""How many tokens an image becomes, by family: pure arithmetic on its width and height in pixels.

Counts are the positions that hold the image's features, without the markers around them (SmolVLM's
row and column names, Qwen's start and end). The worker imports this module too: standard library
only.
"""

from __future__ import annotations

from qualification.core.errors import DeclarationError
from qualification.models.families.parts import Config
from qualification.models.families.table import FAMILIES, family_of


def image_tokens(family: str, width: int, height: int) -> int:
    """Tokens of one image by the published settings.

    Raises DeclarationError for an unknown family or an image of no size.
    """
    if width < 1 or height < 1:
        raise DeclarationError(
            f"an image of {width} x {height} pixels has no size: write 1 or more"
        )
    count = FAMILIES[family].image_tokens if family in FAMILIES else None
    if count is None:
        names = ", ".join(name for name, family in FAMILIES.items() if family.image_tokens)
        raise DeclarationError(
            f"how many tokens an image takes is not known for the family {family!r} (known: "
            f"{names}): register the family as docs/extending.md says"
        )
    return count(width, height)


def image_tokens_by_files(
    config: Config, preprocessor: Config, width: int, height: int, *, in_llama_cpp: bool = False
) -> int | None:
    """Tokens of one image by a model's ``config.json`` and ``preprocessor_config.json``.

    ``in_llama_cpp``: with the limits that llama.cpp has in place of the files'. None for a family
    whose files are not read here. Raises KeyError or TypeError where a setting is missing or of the
    wrong type.
    """
    family = family_of(config)
    if family is None or family.image_tokens_by_files is None:
        return None
    if in_llama_cpp and family.llama_cpp_settings:
        preprocessor = family.llama_cpp_settings(preprocessor)
    return family.image_tokens_by_files(config, preprocessor, width, height)
