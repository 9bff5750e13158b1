"""A snapshot in the hub's cache is whole or it is downloaded again."""

import json

import pytest

from qualification.backends.snapshots import is_complete, weight_files
from qualification.core.protocol import LoadRequest

INDEX = "model.safetensors.index.json"
PATTERNS = ["*.json", "*.safetensors"]


def index(*shards):
    """A safetensors index that names these shards."""
    return json.dumps({"weight_map": {f"layer.{n}": name for n, name in enumerate(shards)}})


@pytest.mark.parametrize(
    ("files", "patterns", "is_whole"),
    [
        ({"config.json": "{}", "model.safetensors": ""}, PATTERNS, True),
        ({"config.json": "{}"}, PATTERNS, False),
        ({}, PATTERNS, False),
        ({INDEX: index("a.safetensors"), "a.safetensors": ""}, PATTERNS, True),
        ({INDEX: index("a.safetensors", "b.safetensors"), "a.safetensors": ""}, PATTERNS, False),
        ({INDEX: index("a.safetensors"), "model.safetensors": ""}, PATTERNS, True),
        ({INDEX: "{", "a.safetensors": ""}, PATTERNS, False),
        ({INDEX: "[]", "a.safetensors": ""}, PATTERNS, False),
        ({"m.gguf": ""}, ["m.gguf", "mmproj.gguf"], False),
        ({"m.gguf": "", "mmproj.gguf": ""}, ["m.gguf", "mmproj.gguf"], True),
        ({"tokenizer.json": "{}"}, ["*.json", "*.txt"], True),
    ],
)
def test_an_interrupted_download_is_not_taken_for_whole(files, patterns, is_whole, tmp_path):
    """Every shard of the index, and every file that is named in full, must be there."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert is_complete(tmp_path, patterns) is is_whole


@pytest.mark.parametrize(
    ("mmproj", "names"),
    [("", ["m.gguf"]), ("p.gguf", ["m.gguf", "p.gguf"]), ("/b/p.gguf", ["m.gguf", "/b/p.gguf"])],
)
def test_a_projector_is_a_file_of_the_weights_only_where_it_is_named(mmproj, names, tmp_path):
    """Beside the language model, or anywhere else."""
    request = LoadRequest("llamacpp", "hub", "x", model_file="m.gguf", mmproj_file=mmproj)
    assert weight_files(request, tmp_path) == [tmp_path / name for name in names]
