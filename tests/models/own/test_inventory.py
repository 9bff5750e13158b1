"""What lies on this disk: every layout, and what is damaged beside it."""

from __future__ import annotations

import json
import shutil

import pytest

from qualification.core.paths import canaries
from qualification.models.own.inventory import inventory, places

CANARY = canaries() / "smolvlm"


def copy(folder, *names, files=("model.gguf",)):
    """Copy GGUF files of the canary under qwen names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(
            CANARY / "gguf" / ("mmproj.gguf" if "mmproj" in name else files[0]), folder / name
        )


def test_every_layout_is_found_and_what_is_damaged_is_named(tmp_path):
    """Five hundred models; one unreadable, one half downloaded, a loop of links, pickles."""
    for number in range(500):
        folder = tmp_path / "many" / f"publisher {number % 7}" / f"model {number}"
        folder.mkdir(parents=True)
        (folder / f"tiny{number}-Q4_0.gguf").symlink_to(CANARY / "gguf/model-q4_0.gguf")
    copy(tmp_path / "lm studio/owner/Tiny-GGUF", "Tiny-Q8_0.gguf", "mmproj-Tiny-f16.gguf")
    copy(tmp_path / "parts", "big-F32-00001-of-00002.gguf", "big-F32-00002-of-00002.gguf")
    copy(tmp_path / "cut", "cut-00001-of-00002.gguf")
    shutil.copytree(CANARY, tmp_path / "sharded", ignore=shutil.ignore_patterns("gguf"))
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    half = tmp_path / "half"
    half.mkdir()
    (half / "model.safetensors.index.json").write_text(json.dumps(index))
    (half / "config.json").write_text("{}")
    (half / "x.incomplete").write_bytes(b"0" * 10)
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise/broken.gguf").write_bytes(b"GGUF" + b"\xff" * 60)
    (tmp_path / "pickles").mkdir()
    (tmp_path / "pickles/pytorch_model.bin").write_bytes(b"")
    (tmp_path / "many/loop").symlink_to(tmp_path)
    (tmp_path / "nothing").symlink_to(tmp_path / "gone")

    listed = list(inventory([tmp_path]))
    good = {entry.model.name: entry for entry in listed if entry.model}
    assert len([name for name in good if name.startswith("tiny")]) == 501
    assert "vision" in good["tiny"].model.capabilities
    assert good["big"].size_bytes == 2 * (CANARY / "gguf/model.gguf").stat().st_size
    assert good["sharded"].target == str(tmp_path / "sharded")
    problems = {
        entry.target.removeprefix(f"{tmp_path}/"): entry.problem
        for entry in listed
        if entry.problem
    }
    assert set(problems) == {
        "cut/cut-00001-of-00002.gguf",
        "half",
        "half/x.incomplete",
        "noise/broken.gguf",
        "pickles",
    }
    assert "cut-00002-of-00002.gguf is not there" in problems["cut/cut-00001-of-00002.gguf"]
    assert "half downloaded" in problems["half/x.incomplete"]
    assert "pickled" in problems["pickles"]
    assert len(listed) == 503 + len(problems)


def test_a_projector_of_another_model_is_doubtful(tmp_path):
    """Its width is not the width that the model reads."""
    copy(tmp_path, "tiny-F32.gguf")
    qwen = canaries() / "qwen2_5_vl/gguf/mmproj.gguf"
    data = qwen.read_bytes()
    key = b"clip.vision.projection_dim"
    at = data.index(key) + len(key) + 4
    (tmp_path / "mmproj.gguf").write_bytes(data[:at] + (77).to_bytes(4, "little") + data[at + 4 :])
    (listed,) = inventory([tmp_path])
    (doubt,) = listed.doubts
    assert (
        doubt
        == "mmproj.gguf projects to 77 numbers, the model reads 64: it belongs to another model"
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with the caches of the four tools, each with one model."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    snapshot = tmp_path / ".cache/huggingface/hub/models--owner--Tiny-VL/snapshots" / ("0" * 40)
    shutil.copytree(CANARY, snapshot, ignore=shutil.ignore_patterns("gguf"))
    refs = snapshot.parent.parent / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    copy(tmp_path / ".lmstudio/models/owner/Small-GGUF", "Small-Q8_0.gguf", "mmproj-Small.gguf")
    copy(tmp_path / "llama", "owner_name_cached-F32.gguf")
    ollama = tmp_path / ".ollama/models"
    (ollama / "manifests/registry.ollama.ai/library/eye").mkdir(parents=True)
    (ollama / "blobs").mkdir()
    digest = "sha256:" + "a" * 64
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
    manifests = ollama / "manifests/registry.ollama.ai/library/eye"
    (manifests / "7b").write_text(json.dumps({"layers": [layer]}))
    (manifests / "bad").write_text("{")
    shutil.copy(CANARY / "gguf/model.gguf", ollama / "blobs" / digest.replace(":", "-"))
    return tmp_path


def test_the_caches_of_four_tools_are_searched(home):
    """Every model with what pytest --model takes."""
    listed = {entry.target: entry for entry in inventory()}
    assert {entry.place for entry in listed.values()} == {"hub", "LM Studio", "Ollama", "llama.cpp"}
    assert set(places()) == {"hub", "LM Studio", "Ollama", "llama.cpp"}
    assert listed["owner/Tiny-VL"].model.name == "tiny-vl"
    assert listed["eye:7b"].model.name == "eye-7b"
    assert "cannot be read as a manifest" in listed["eye:bad"].problem
    assert sum(entry.model is not None for entry in listed.values()) == 4
