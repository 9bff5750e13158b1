"""Reads single values out of a model's JSON files and GGUF metadata; files are hostile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qualification.models.chat_templates import templates_in

_QUANTISED = re.compile(r"[-_.]((?:UD-)?I?Q\d\w*|BF16|F16|F32|MXFP4\w*)$", re.IGNORECASE)


def part(config: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """The first object under these keys, an empty one without one."""
    values = (config.get(key) for key in keys)
    return next((value for value in values if isinstance(value, dict)), {})


def count(config: Mapping[str, Any], *keys: str) -> int:
    """The first positive whole number under these keys, 0 without one."""
    values = (config.get(key) for key in keys)
    return next((value for value in values if type(value) is int and 0 < value < 2**53), 0)


def chat_template(folder: Path) -> str:
    """The chat template of a folder as text, wherever it is; '' without one."""
    return next(iter(templates_in(folder).values()), "")


def quantisation_in_name(name: str) -> str:
    """The quantisation at the end of a GGUF's name, by which people know it; '' without one."""
    match = _QUANTISED.search(name)
    return match[1] if match else ""


def file_type(keys: Mapping[str, Any]) -> str:
    """The name of ``general.file_type``: Q4_K_M; '' where it is unknown."""
    from gguf import LlamaFileType

    try:
        name = str(LlamaFileType(keys.get("general.file_type")).name)
    except ValueError:
        return ""
    return re.sub("^(MOSTLY|ALL)_", "", name)
