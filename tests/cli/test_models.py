"""``qualify models``: what lies on the disk, what fits, and the command to try it."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.paths import canaries


@pytest.fixture
def folder(tmp_path):
    """A model with a blank in its path, and a damaged one."""
    place = tmp_path / "my models"
    place.mkdir()
    shutil.copy(canaries() / "smolvlm/gguf/model.gguf", place / "Tiny-F32.gguf")
    shutil.copy(canaries() / "smolvlm/gguf/mmproj.gguf", place / "mmproj-Tiny.gguf")
    (place / "broken.gguf").write_bytes(b"GGUF")
    return place


def run(*words):
    """The command's output; it succeeds."""
    result = CliRunner().invoke(main, ["models", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_each_model_comes_with_its_command(folder):
    """Quoted where a path has a blank; the damaged one with its fault."""
    text = " ".join(run(folder).split())
    assert "tiny f32 llama" in text
    assert "fits: " in text
    assert f"pytest --model='{folder}/Tiny-F32.gguf'" in text
    assert "cannot be tried: " in text


def test_json_has_the_sum_and_the_deployments(folder):
    """For programs: plain types, sizes in bytes."""
    tiny, broken = json.loads(run(folder, "--json"))
    assert broken["problem"]
    assert tiny["deployments"] == ["tiny-f32@llamacpp", "tiny-f32@llama.cpp"]
    assert tiny["fits"] is True
    assert tiny["predicted_bytes"] > tiny["size_bytes"]
    assert tiny["why"].startswith("predicted ")


def test_a_folder_without_models_is_said(tmp_path):
    """With the folder's name."""
    assert run(tmp_path).strip() == f"no model was found in {tmp_path}"


def test_a_machine_without_a_cache_is_told_to_name_a_folder(tmp_path, monkeypatch):
    """And which tools' caches were looked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OLLAMA_MODELS", "LLAMA_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "gone"))
    assert run().startswith("no cache of the hub, LM Studio, Ollama or llama.cpp is here; name a")
