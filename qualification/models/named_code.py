"""Finds what the files of a model would have a library run: code that the files name. Pure reading.

``config.json`` with ``"model_file": "x.py"`` runs x.py in mlx-vlm, without being asked
(CVE-2026-5843 in mlx-lm is the same); ``auto_map`` names a module for transformers, an attention
implementation may name a repository of kernels. Nobody knows all such keys, so this is an
allow-list: a value that reads like a file of code, a dotted name, a repository or a module is
refused under any key that is not known to be harmless.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qualification.core.errors import WeightsError
from qualification.models.tensor_headers import shards

HARMLESS = frozenset(
    {
        # Where weights or a tokeniser came from; nothing is opened by these names.
        *("_name_or_path", "name_or_path", "base_model_name_or_path", "mm_vision_tower"),
        *(
            "vision_tower",
            "model_name",
            "license",
            "license_link",
            "language",
            "pipeline_tag",
            "library_name",
        ),
        *(
            "transformers_version",
            "_diffusers_version",
            "diffusers_version",
            "dtype",
            "torch_dtype",
        ),
        # Text that is rendered in a sandbox or printed.
        *("chat_template", "default_system_prompt", "system_prompt", "response_schema"),
        # Tokens, of any text.
        *("content", "bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token"),
        *("mask_token", "image_token", "video_token", "audio_token", "additional_special_tokens"),
        *(
            "extra_special_tokens",
            "boi_token",
            "eoi_token",
            "fake_image_token",
            "end_of_turn_token",
        ),
        *("model_specific_special_tokens", "added_tokens_decoder", "token", "tokens"),
        # Names of layers: a.b.c is one of them.
        *("modules_to_not_convert", "ignore", "targets", "target_modules", "ignored_layers"),
        *("llm_int8_skip_modules", "quantization", "quantization_config", "weight_map", "layers"),
        *("tie_word_embeddings_keys", "exclude_modules", "modules_to_save"),
        # Files of data beside the tokeniser.
        *("vocab_file", "merges_file", "tokenizer_file", "special_tokens_map_file"),
        # Names of labels.
        *("id2label", "label2id"),
    }
)
"""Keys whose values, and all that lies below them, are read as data by every library here."""

DECIDED = frozenset({"auto_map"})
"""Keys that transformers asks about before it runs anything; a worker and launch.py answer no."""

_FILES = "*config*.json", "*generation*.json", "model_index.json"
_CODE = re.compile(
    r"""[^\s]+\.(?:py[cdow]?|so|dylib|dll|pkl|pickle|ipynb|sh|pth?|bin)  # a file of code or pickles
    | [\w./~-]*--[\w.]+                                                   # repository--module.Class
    | [A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+                                     # module.Class
    | (?:kernels?|hf|https?|file)://\S+
    | [\w.~-]+/[\w./~-]+(?:@[\w.-]+)?(?::\w+)?                            # repository, or a path
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MOST_BYTES = 16_000_000
_DEPTH = 40


def refuse_code(folder: Path) -> None:
    """Raise WeightsError if a configuration in ``folder`` names code, or cannot be read to see.

    The sentence names the file, the key and the value.
    """
    for pattern in _FILES:
        for file in sorted(folder.glob(pattern)):
            if file.name.startswith("."):  # ._config.json, which macOS makes and nobody reads
                continue
            for path, value in _named(_read(file), (), file):
                raise WeightsError(
                    f"{file}: {'.'.join(path)} names code or a file of it ({value[:80]!r}), and a "
                    "model's own code is never run unasked; if you have reviewed it, declare "
                    "remote_code = true with that commit as revision and run with "
                    "--allow-remote-code"
                )
    shards(folder)  # a pickle that an index names runs code when it is opened


def _named(value: Any, path: tuple[str, ...], file: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """The places whose text reads like code, each as its keys and the text."""
    if len(path) > _DEPTH:
        raise WeightsError(f"{file}: is nested deeper than {_DEPTH} levels")
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in HARMLESS and key not in DECIDED:
                yield from _named(inner, (*path, str(key)), file)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _named(inner, (*path, str(number)), file)
    elif isinstance(value, str) and _CODE.fullmatch(value.strip()):
        yield path, value


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise WeightsError(f"{file}: is larger than {_MOST_BYTES:,} bytes, so it is not read")
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file}: cannot be read as JSON ({error})") from error
