"""Writes the files that a loader reads beside the weights: the canary's, with published figures.

The canary of the family ships with the project: its tokenizer, its chat template and the layout of
its files are those that the libraries' releases of today and before read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qualification.models.layouts.gguf_files import text_config
from qualification.models.layouts.safetensors_files import BITS, GROUP
from qualification.models.synthetic.vocabulary import lengthen

_TORCH_DTYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


def write(folder: Path, canary: Path, declared: Mapping[str, Any], quantisation: str) -> None:
    """Write tokenizer, processor and configuration files into ``folder``.

    ``canary`` is the folder of the family's canary, ``declared`` the model's file of
    ``declarations/configs``.
    """
    ignored = shutil.ignore_patterns("*.safetensors", "gguf")
    shutil.copytree(canary, folder, ignore=ignored, dirs_exist_ok=True)
    text = text_config(declared["config.json"])
    for file in folder.rglob("tokenizer.json"):
        lengthen(file, text["vocab_size"])
    for file in folder.rglob("tokenizer_config.json"):
        _update(file, {"model_max_length": text["max_position_embeddings"]})
    for name in ("preprocessor_config.json", "processor_config.json"):
        if name in declared:
            _update(folder / name, declared[name])
    config = _with_token_ids(declared["config.json"], _read(canary / "config.json"))
    if quantisation in _TORCH_DTYPES:
        config = _with_dtype(config, _TORCH_DTYPES[quantisation])
    else:
        entry = {"group_size": GROUP, "bits": BITS[quantisation]}
        config |= {"quantization": entry, "quantization_config": entry}
    _write(folder / "config.json", config)


def _with_token_ids(config: Mapping[str, Any], canary: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the ids of special tokens that the canary's tokenizer has, at each level."""
    merged = dict(config)
    for key, value in canary.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _with_token_ids(merged[key], value)
        elif key.endswith("_token_id") or key == "image_token_index":
            merged[key] = value
    return merged


def _with_dtype(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    copy = {
        key: _with_dtype(value, dtype) if isinstance(value, dict) else value
        for key, value in config.items()
    }
    return copy | {"torch_dtype": dtype} if "torch_dtype" in copy else copy


def _update(file: Path, changes: Mapping[str, Any]) -> None:
    _write(file, _read(file) | dict(changes))


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
