"""What a path, a hub id or a name of Ollama means: one model, or a sentence."""

from __future__ import annotations

import json
import shutil

import pytest

from qualification.core.errors import SelectionError
from qualification.core.paths import canaries
from qualification.core.weight_files import gguf_parts
from qualification.models.own.inference import described
from qualification.models.own.targets import find

CANARY = canaries() / "smolvlm"
DIGESTS = {"model": "sha256:" + "a" * 64, "projector": "sha256:" + "b" * 64}


@pytest.fixture
def gguf(tmp_path):
    """``gguf(*names)``: a folder with these files, projectors and models."""
    folder = tmp_path / "publisher" / "my model"
    folder.mkdir(parents=True)

    def make(*names):
        for name in names:
            kind = "mmproj" if "mmproj" in name else "model"
            shutil.copy(CANARY / "gguf" / f"{kind}.gguf", folder / name)
        return folder

    return make


@pytest.fixture
def ollama(tmp_path, monkeypatch):
    """``ollama(layers)``: the store of Ollama with one model, tiny:latest."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))

    def make(layers, text=None):
        manifest = tmp_path / "manifests/registry.ollama.ai/library/tiny/latest"
        manifest.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "blobs").mkdir(exist_ok=True)
        kinds = [
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": DIGESTS.get(kind, kind)}
            for kind in layers
        ]
        manifest.write_text(json.dumps({"layers": kinds}) if text is None else text)
        for kind, digest in DIGESTS.items():
            name = {"model": "model", "projector": "mmproj"}[kind]
            blob = tmp_path / "blobs" / digest.replace(":", "-")
            shutil.copy(CANARY / "gguf" / f"{name}.gguf", blob)
        return tmp_path

    return make


def test_a_folder_of_safetensors_is_a_model(tmp_path):
    """Also behind a link, and with a blank in its path."""
    folder = tmp_path / "a model"
    shutil.copytree(CANARY, folder)
    (tmp_path / "linked").symlink_to(folder)
    for place in (folder, tmp_path / "linked"):
        target = find(str(place))
        assert (target.folder, target.model_file) == (place, "")


def test_a_gguf_and_the_projector_beside_it(gguf):
    """By the folder, as LM Studio has them, or by the file."""
    folder = gguf("Tiny-7B-Q4_K_M.gguf", "mmproj-Tiny-7B-f16.gguf")
    for text in (str(folder), str(folder / "Tiny-7B-Q4_K_M.gguf")):
        target = find(text)
        assert target.name == "Tiny-7B-Q4_K_M"
        assert target.model_file == "Tiny-7B-Q4_K_M.gguf"
        assert target.mmproj_file == "mmproj-Tiny-7B-f16.gguf"


def test_of_several_projectors_the_one_with_the_models_name_is_taken(gguf):
    """Else the user is asked."""
    folder = gguf("a-Q4_0.gguf", "b-Q4_0.gguf", "mmproj-a-f16.gguf", "b-mmproj-BF16.gguf")
    assert find(str(folder / "a-Q4_0.gguf")).mmproj_file == "mmproj-a-f16.gguf"
    assert find(str(folder / "b-Q4_0.gguf")).mmproj_file == "b-mmproj-BF16.gguf"
    shutil.copy(folder / "a-Q4_0.gguf", folder / "c-Q4_0.gguf")
    with pytest.raises(SelectionError, match="2 projectors lie beside it"):
        find(str(folder / "c-Q4_0.gguf"))


def test_of_several_models_the_user_is_asked_to_name_one(gguf):
    """With their names."""
    folder = gguf("a-Q4_0.gguf", "a-Q8_0.gguf")
    with pytest.raises(SelectionError, match=r"2 models; name one: a-Q4_0\.gguf, a-Q8_0\.gguf"):
        find(str(folder))


def test_a_model_in_parts_is_one_model(gguf):
    """Named by its first part, and refused where one is missing."""
    folder = gguf("big-Q4_0-00001-of-00002.gguf", "big-Q4_0-00002-of-00002.gguf")
    target = find(str(folder))
    assert (target.name, target.model_file) == ("big-Q4_0", "big-Q4_0-00001-of-00002.gguf")
    assert find(str(folder / "big-Q4_0-00002-of-00002.gguf")) == target
    (folder / "big-Q4_0-00002-of-00002.gguf").unlink()
    with pytest.raises(SelectionError, match=r"in 2 parts, and big-Q4_0-00002-of-00002\.gguf is"):
        find(str(folder))


def test_a_file_name_cannot_claim_a_million_parts(tmp_path):
    """It is one file then."""
    file = tmp_path / "x-00001-of-99999.gguf"
    assert gguf_parts(file) == (file,)


def test_a_model_of_ollama_is_two_blobs_without_extension(ollama):
    """By its name, with its tag or without; its headers are read as GGUF."""
    root = ollama(["model", "projector", "license"])
    for text in ("tiny", "tiny:latest", "library/tiny"):
        target = find(text)
        assert target.folder == root / "blobs"
        assert target.model_file == "sha256-" + "a" * 64
        assert target.mmproj_file == "sha256-" + "b" * 64
    model, _ = described(find("tiny"))
    assert model.name == "tiny"
    assert "vision" in model.capabilities


@pytest.mark.parametrize(
    ("layers", "text", "says"),
    [
        ((), "{", "cannot be read as a manifest"),
        ((), "[]", "cannot be read as a manifest"),
        ((), '{"layers": [{}]}', "cannot be read as a manifest"),
        (("license",), None, "names no model on this disk"),
    ],
)
def test_a_damaged_manifest_of_ollama_is_one_sentence(ollama, layers, text, says):
    """It is another program's file."""
    ollama(layers, text)
    with pytest.raises(SelectionError, match=says):
        find("tiny")


@pytest.mark.parametrize("digest", ["../../etc/passwd", "sha256:" + "c" * 64])
def test_a_manifest_cannot_name_a_file_elsewhere(ollama, digest):
    """Digests only, and of blobs that are there."""
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
    ollama((), json.dumps({"layers": [layer]}))
    with pytest.raises(SelectionError, match=r"is no digest|is not there"):
        find("tiny")


def test_a_repository_of_the_hub_is_its_snapshot_in_the_local_cache(tmp_path, monkeypatch):
    """Symlinked as the hub's library makes it; nothing is downloaded."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--Tiny-VL"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in CANARY.glob("*.*"):
        shutil.copy(file, blobs / file.name)
        (snapshot / file.name).symlink_to(blobs / file.name)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0" * 40)
    target = find("owner/Tiny-VL")
    assert (target.name, target.folder) == ("Tiny-VL", snapshot)
    model, note = described(target)
    assert model.name == "tiny-vl"
    assert "tiny-vl-f32@mlx, tiny-vl-f32@torch" in note
    with pytest.raises(SelectionError, match="hf download owner/other"):
        find("owner/other")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", b"hello", "is no GGUF file"),
        ("folder/x.txt", b"", "holds neither safetensors nor GGUF"),
        ("folder/pytorch_model.bin", b"", "pickled weights"),
        ("folder/model.safetensors", b"", "no config.json"),
    ],
)
def test_what_is_no_model_is_said_in_one_sentence(tmp_path, name, content, says):
    """With what is there."""
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(SelectionError, match=says):
        find(str(file if file.parent == tmp_path else file.parent))
