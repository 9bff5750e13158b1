"""Each layout in which models lie on disks is found, and tried by ``pytest --model``."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from qualification.core.paths import canaries
from qualification.models.own.inventory import inventory

CANARY = canaries() / "smolvlm"


def folder(place):
    """The canary as transformers reads it, in one file."""
    shutil.copytree(CANARY, place, ignore=shutil.ignore_patterns("gguf", "*bit*", "manifest*"))
    return place


def sharded(place):
    """Its tensors in two files, and an index."""
    from safetensors.numpy import load_file, save_file

    folder(place)
    tensors = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    names = sorted(tensors)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, place / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    return place


def gguf(place, model="Tiny-F32.gguf", mmproj="mmproj-Tiny-F16.gguf"):
    """Model and projector side by side."""
    place.mkdir(parents=True)
    shutil.copy(CANARY / "gguf/model.gguf", place / model)
    shutil.copy(CANARY / "gguf/mmproj.gguf", place / mmproj)
    return place


def in_parts(place):
    """As llama.cpp's gguf-split cuts a model; the projector is whole."""
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    gguf(place)
    whole = place / "Tiny-F32.gguf"
    reader = GGUFReader(whole)
    tensors = len(reader.tensors)
    architecture = reader.fields["general.architecture"].contents()
    writer = GGUFWriter(whole, architecture, split_max_tensors=tensors // 2 + 1)
    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    whole.unlink()
    assert len(list(place.glob("Tiny-F32-*-of-00002.gguf"))) == 2
    return place


def lm_studio(place):
    """Publisher, then repository."""
    return gguf(place / "publisher" / "Tiny-GGUF")


def snapshot(place):
    """The hub's cache: links to blobs that are named by their hashes."""
    plain = folder(place / "plain")
    blobs, links = place / "models--owner--Tiny/blobs", place / "models--owner--Tiny/snapshots/abc"
    blobs.mkdir(parents=True)
    links.mkdir(parents=True)
    for number, file in enumerate(sorted(f for f in plain.iterdir() if f.is_file())):
        blob = blobs / f"{number:040x}"
        shutil.move(file, blob)
        (links / file.name).symlink_to(f"../../blobs/{blob.name}")
    shutil.rmtree(plain)
    return links


def ollama(home):
    """Two blobs without an extension, and the manifest that names them."""
    blobs = home / "blobs"
    manifest = home / "manifests/registry.ollama.ai/library/tiny/latest"
    blobs.mkdir(parents=True)
    manifest.parent.mkdir(parents=True)
    layers = []
    for name, kind in (("model", "model"), ("mmproj", "projector")):
        digest = "sha256:" + ("a" if kind == "model" else "b") * 64
        shutil.copy(CANARY / f"gguf/{name}.gguf", blobs / digest.replace(":", "-"))
        layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": digest})
    manifest.write_text(json.dumps({"layers": layers}))
    return home


LAYOUTS = {
    "one_file": (folder, "torch"),
    "sharded": (sharded, "mlx"),
    "gguf_and_mmproj": (gguf, "llama.cpp"),
    "gguf_in_parts": (in_parts, "llamacpp"),
    "lm_studio": (lm_studio, "llama.cpp"),
    "snapshot": (snapshot, "mlx"),
    "path_with_blanks": (lambda place: folder(place / "my models" / "tiny vl"), "mlx"),
    "gguf_path_with_blanks": (lambda place: gguf(place / "my models" / "tiny vl"), "llamacpp"),
}


def is_here(backend):
    """Whether a backend's library is installed; pytester would forget one that is imported."""
    libraries = {"llamacpp": "llama_cpp", "llama.cpp": "xllamacpp", "mlx": "mlx_vlm"}
    return find_spec(libraries.get(backend, "transformers")) is not None


def tried(pytester, target, backend):
    """Load it and ask it about images; the outcomes."""
    words = [f"--model={target}", "--deployment", f"*@{backend}", "-q", "-p", "no:cacheprovider"]
    words += ["-m", "load or capability", "-k", "test_loads or test_given_as"]
    result = pytester.runpytest_subprocess(*words)
    return result.parseoutcomes()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_model_in_any_layout_is_found_and_tried(pytester, tmp_path, layout):
    """Nothing declares it: it is loaded, and answers."""
    build, backend = LAYOUTS[layout]
    if not is_here(backend):
        pytest.skip(f"{backend} is not installed")
    place = build(tmp_path / layout)
    (listed,) = [entry for entry in inventory([tmp_path]) if entry.model]
    assert not listed.problem
    assert Path(listed.target).is_relative_to(tmp_path)
    pytester.makepyprojecttoml("[tool.pytest.ini_options]")
    outcomes = tried(pytester, place, backend)
    assert outcomes.get("failed", 0) == outcomes.get("errors", 0) == 0
    assert outcomes["passed"] + outcomes.get("xfailed", 0) == 4


@pytest.mark.slow
@pytest.mark.long
def test_a_model_of_ollama_is_found_and_tried(pytester, tmp_path, monkeypatch):
    """By its name there; its blobs have no extension."""
    if not is_here("llamacpp"):
        pytest.skip("llamacpp is not installed")
    monkeypatch.setenv("OLLAMA_MODELS", str(ollama(tmp_path / "ollama")))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "none"))
    (listed,) = [entry for entry in inventory() if entry.place == "Ollama"]
    assert listed.target == "tiny:latest"
    pytester.makepyprojecttoml("[tool.pytest.ini_options]")
    outcomes = tried(pytester, listed.target, "llamacpp")
    assert outcomes.get("failed", 0) == outcomes.get("errors", 0) == 0
    assert outcomes["passed"] + outcomes.get("xfailed", 0) == 4
