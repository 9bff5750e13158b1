"""A snapshot in the hub's cache is whole or it is downloaded again."""

import json

import pytest

from qualification.backends.snapshots import is_complete

WANTED = ["*.json", "*.safetensors"]


def index(*shards):
    """A safetensors index that names these shards."""
    return json.dumps({"weight_map": {f"layer.{n}": name for n, name in enumerate(shards)}})


@pytest.mark.parametrize(
    ("files", "patterns", "whole"),
    [
        ({"config.json": "{}", "model.safetensors": ""}, WANTED, True),
        ({"config.json": "{}"}, WANTED, False),
        ({}, WANTED, False),
        ({"model.safetensors.index.json": index("a.safetensors"), "a.safetensors": ""},
         WANTED, True),
        ({"model.safetensors.index.json": index("a.safetensors", "b.safetensors"),
          "a.safetensors": ""}, WANTED, False),
        ({"model.safetensors.index.json": index("a.safetensors"), "model.safetensors": ""},
         WANTED, True),
        ({"model.safetensors.index.json": "{", "a.safetensors": ""}, WANTED, False),
        ({"model.safetensors.index.json": "[]", "a.safetensors": ""}, WANTED, False),
        ({"m.gguf": ""}, ["m.gguf", "mmproj.gguf"], False),
        ({"m.gguf": "", "mmproj.gguf": ""}, ["m.gguf", "mmproj.gguf"], True),
        ({"tokenizer.json": "{}"}, ["*.json", "*.txt"], True),
    ],
)  # fmt: skip
def test_an_interrupted_download_is_not_taken_for_whole(files, patterns, whole, tmp_path):
    """Every shard of the index, and every file that is named in full, must be there."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert is_complete(tmp_path, patterns) is whole
