"""A snapshot in the hub's cache is whole or it is downloaded again."""

import json

import pytest

from qualification.backends.snapshots import weight_files
from qualification.core.hub.files import missing
from qualification.core.protocol import LoadRequest

INDEX = "model.safetensors.index.json"
PATTERNS = ["*.json", "*.safetensors"]


def index(*shards):
    """A safetensors index that names these shards."""
    return json.dumps({"weight_map": {f"layer.{n}": name for n, name in enumerate(shards)}})


CONFIG = {"config.json": "{}"}


@pytest.mark.parametrize(
    ("files", "patterns", "lacking"),
    [
        (CONFIG | {"model.safetensors": ""}, PATTERNS, ()),
        ({"model.safetensors": ""}, PATTERNS, ("config.json",)),
        (CONFIG, PATTERNS, ("*.safetensors",)),
        (CONFIG | {"._model.safetensors": ""}, PATTERNS, ("*.safetensors",)),
        ({}, PATTERNS, ("config.json",)),
        (CONFIG | {INDEX: index("a.safetensors"), "a.safetensors": ""}, PATTERNS, ()),
        (
            CONFIG | {INDEX: index("a.safetensors", "b.safetensors"), "a.safetensors": ""},
            PATTERNS,
            ("b.safetensors",),
        ),
        (CONFIG | {INDEX: index("a.safetensors"), "model.safetensors": ""}, PATTERNS, ()),
        (CONFIG | {INDEX: "{", "a.safetensors": ""}, PATTERNS, (f"a readable {INDEX}",)),
        (CONFIG | {INDEX: "[]", "a.safetensors": ""}, PATTERNS, (f"a readable {INDEX}",)),
        ({"m.gguf": ""}, ["m.gguf", "mmproj.gguf"], ("mmproj.gguf",)),
        ({"m.gguf": "", "mmproj.gguf": ""}, ["m.gguf", "mmproj.gguf"], ()),
        ({"tokenizer.json": "{}"}, ["*.json", "*.txt"], ()),
        ({}, ["*.json", "*.txt"], ("*.json *.txt",)),
    ],
)
def test_what_an_interrupted_download_lacks_is_named(files, patterns, lacking, tmp_path):
    """Every shard of the index, and every file that is named in full, must be there."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert missing(tmp_path, patterns) == lacking


def test_a_link_to_a_pruned_blob_is_missing(tmp_path):
    """What ``hf cache prune`` or a hand leaves of a file."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    (tmp_path / "m.gguf").symlink_to(tmp_path / "gone")
    assert missing(tmp_path, PATTERNS) == ("*.safetensors",)
    assert missing(tmp_path, ["m.gguf"]) == ("m.gguf",)


def test_all_parts_of_a_gguf_are_its_weights(tmp_path):
    """In their order, the projector behind them, whichever part is named."""
    request = LoadRequest(
        "llamacpp", "hub", "x", model_file="q/m-00002-of-00002.gguf", mmproj_file="p.gguf"
    )
    files = [file.relative_to(tmp_path) for file in weight_files(request, tmp_path)]
    assert list(map(str, files)) == ["q/m-00001-of-00002.gguf", "q/m-00002-of-00002.gguf", "p.gguf"]


@pytest.mark.parametrize(
    ("mmproj", "names"),
    [("", ["m.gguf"]), ("p.gguf", ["m.gguf", "p.gguf"]), ("/b/p.gguf", ["m.gguf", "/b/p.gguf"])],
)
def test_a_projector_is_a_file_of_the_weights_only_where_it_is_named(mmproj, names, tmp_path):
    """Beside the language model, or anywhere else."""
    request = LoadRequest("llamacpp", "hub", "x", model_file="m.gguf", mmproj_file=mmproj)
    assert weight_files(request, tmp_path) == [tmp_path / name for name in names]
