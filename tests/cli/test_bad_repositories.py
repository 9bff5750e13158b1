"""One bad repository in the cache of the hub never stops a table: it is output what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.paths import canaries
from tests.support.gguf_in_parts import write_in_parts
from tests.support.toy_project import CHIPS, TIERS

CANARY = canaries() / "smolvlm"
COMMIT = "0" * 40


def snapshot(cache: Path, name: str) -> Path:
    """A whole copy of the canary in the hub's cache; its snapshot."""
    repository = cache / f"models--owner--{name}"
    folder = repository / "snapshots" / COMMIT
    shutil.copytree(CANARY, folder, ignore=shutil.ignore_patterns("gguf"))
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(COMMIT)
    return folder


def with_config(folder: Path, **changes: object) -> None:
    document = json.loads((folder / "config.json").read_text())
    text = document.get("text_config", document)
    (folder / "config.json").write_text(json.dumps(document | {"text_config": text | changes}))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with one good repository and many bad ones; no other cache is here."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "gone"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "gone"))
    monkeypatch.setenv("QUALIFY_HOME", str(tmp_path))
    cache = tmp_path / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    snapshot(cache, "Good")
    pruned = snapshot(cache, "Pruned") / "model.safetensors"
    pruned.unlink()
    pruned.symlink_to("../../blobs/gone")
    (snapshot(cache, "Page") / "config.json").write_text("<html>404</html>")
    (snapshot(cache, "Empty") / "model.safetensors").write_bytes(b"")
    (snapshot(cache, "List") / "config.json").write_text("[]")
    with_config(snapshot(cache, "Odd"), num_hidden_layers={"a": 1}, hidden_size=[3])
    with_config(snapshot(cache, "Deep"), num_hidden_layers=2**50)
    (snapshot(cache, "Long-Ref").parents[1] / "refs/main").write_text("x" * 5000)
    half = snapshot(cache, "Half")
    (half / "model.safetensors").unlink()
    (half.parents[1] / "blobs").mkdir()
    (half.parents[1] / "blobs/abc.incomplete").write_bytes(bytes(1000))
    parts = snapshot(cache, "Parts")
    (parts / "model.safetensors").unlink()
    write_in_parts(CANARY / "gguf/model.gguf", parts / "big")[0].unlink()
    shutil.copy(CANARY / "gguf/model.gguf", parts / "eye.gguf")
    (parts / "mmproj.gguf").symlink_to("../../blobs/gone")
    ref = snapshot(cache, "Ref-Is-A-Folder").parents[1] / "refs/main"
    ref.unlink()
    ref.mkdir()
    (cache / "models--owner--A-File").write_text("no folder")
    (cache / "models--owner--Loop").symlink_to(cache)
    return cache


def run(*words: str) -> str:
    """The output of a command that succeeds."""
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_models_lists_the_good_repository_and_what_is_wrong_with_the_others(cache: Path) -> None:
    """Each bad one on a line of its own."""
    records = {record["target"]: record for record in json.loads(run("models", "--json"))}
    assert records["owner/Good"]["command"] == "pytest --model=owner/Good"
    problems = {
        target.replace(f"{cache}/models--owner--", "").partition("/")[0]
        if target.startswith(str(cache))
        else target.removeprefix("owner/"): record["problem"]
        for target, record in records.items()
    }
    assert "a link to a file that is gone (was a cache pruned?); download it" in problems["Pruned"]
    assert "half downloaded (1 files); go on with: hf download owner/Half" in problems["Half"]
    assert "config.json: is a web page (a login, an error?), not the file" in problems["Page"]
    assert "it is empty" in problems["Empty"]
    assert "is no JSON object" in problems["List"]
    targets = "\n".join(f"{target}: {record['problem']}" for target, record in records.items())
    assert "big-00001-of-00002.gguf is not there; download it again: hf download" in targets
    assert "its projector mmproj.gguf is a link to a file that is gone" in targets
    assert "owner/Good" in run("models")


def test_footprint_predicts_a_bad_repository_from_its_declaration(
    cache: Path, tmp_path: Path
) -> None:
    """The others are in the table as ever, and what is wrong is output beside it."""
    sources = [
        f'[[models]]\nname = "{name.lower()}"\nfamily = "smolvlm"\nparameters = 1_000_000_000\n'
        'licence = "MIT"\ncapabilities = ["text_only"]\n[[models.sources]]\nbackend = "torch"\n'
        f'quantisation = "f32"\nrepository = "owner/{name}"\nrevision = "main"\n'
        for name in ("Good", "Pruned", "Empty", "Page", "Half", "Long-Ref")
    ]
    declared = tmp_path / "declared"
    declared.mkdir()
    (declared / "models.toml").write_text("shipped = false\n" + "\n".join(sources))
    (declared / "tiers.toml").write_text(TIERS)
    (declared / "chips.toml").write_text(CHIPS)
    words = ("footprint", "--declarations", str(declared))
    output = run(*words)
    for name in ("good", "pruned", "empty", "page", "half", "long-ref"):
        assert f"{name}-f32@torch" in output
    output = [line for line in output.splitlines() if "its figures are those of" in line]
    assert [line.partition("-")[0] for line in output] == ["pruned", "empty"]


def test_doctor_does_not_mind(cache: Path) -> None:
    """It reads no repository."""
    assert cache.is_dir()
    assert "Backends" in run("doctor")
