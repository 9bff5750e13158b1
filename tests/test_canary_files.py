"""The committed canaries are what the manifest says, small, and made from one another as it says.

No model library: only the files and ``manifest.json``, whose ``canaries`` has one entry for each
folder, with its ``files`` and, where quantised sets lie in it, the list ``quantised``.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

CANARIES = Path(__file__).resolve().parent.parent / "fixtures/canaries"
LARGEST_SET = 2_000_000
ENTRIES: dict[str, Any] = json.loads((CANARIES / "manifest.json").read_text("utf-8"))["canaries"]
QUANTISED = [
    pytest.param(folder, made, id=made["name"])
    for folder, entry in ENTRIES.items()
    for made in entry.get("quantised", ())
]


def _hashes(folder: str) -> dict[str, str]:
    return {file["path"]: file["sha256"] for file in ENTRIES[folder]["files"]}


def _sets(folder: str) -> dict[str, list[Path]]:
    """What one backend loads: all but the GGUF files, or one of these with the mmproj."""
    place = CANARIES / folder
    files = [file for file in place.rglob("*") if file.is_file()]
    gguf = [file for file in files if file.suffix == ".gguf"]
    found = {"safetensors": [file for file in files if file not in gguf]}
    for model in gguf:
        if model.name != "mmproj.gguf":
            found[model.name] = [model, model.with_name("mmproj.gguf")]
    return found


def test_every_folder_is_in_the_manifest():
    """A folder that nobody knows the origin of is an error, and so is an entry without one."""
    assert {path.name for path in CANARIES.iterdir() if path.is_dir()} == set(ENTRIES)


@pytest.mark.parametrize("folder", ENTRIES)
def test_the_files_are_those_of_the_manifest(folder):
    """Every file, by its path, size and hash: none changed, none missing, none more."""
    found = {
        file.relative_to(CANARIES / folder).as_posix(): file
        for file in (CANARIES / folder).rglob("*")
        if file.is_file()
    }
    assert set(found) == set(_hashes(folder))
    for entry in ENTRIES[folder]["files"]:
        data = found[entry["path"]].read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])


@pytest.mark.parametrize("folder", ENTRIES)
def test_what_a_backend_loads_is_small(folder):
    """2 MB at most for each set of files: they are committed."""
    sizes = {
        name: sum(file.stat().st_size for file in files) for name, files in _sets(folder).items()
    }
    assert {name: size for name, size in sizes.items() if size > LARGEST_SET} == {}


@pytest.mark.parametrize(("folder", "made"), QUANTISED)
def test_a_quantised_set_is_made_from_the_committed_weights(folder, made):
    """Its origin's hash is the one of today's full precision, and it is smaller than that."""
    origin = made["made_from"]
    assert origin["sha256"] == _hashes(origin["canary"])[origin["path"]]
    assert set(made["files"]) <= set(_hashes(folder))
    assert made["command"]
    assert made["converter"]
    full = CANARIES / origin["canary"] / origin["path"]
    quantised = CANARIES / folder / made["files"][0]
    if origin["path"] in made["files"]:
        quantised = CANARIES / folder / origin["path"]
    assert quantised.stat().st_size < full.stat().st_size


@pytest.mark.parametrize("folder", [name for name in ENTRIES if "training" in ENTRIES[name]])
def test_a_canary_is_quantised_as_its_counterpart_is_published(folder):
    """MLX with 4 and 8 bits, and Q8_0 and Q4_0 where there is a GGUF of full precision."""
    wanted = {f"{folder}-4bit", f"{folder}-8bit"}
    if "gguf/model.gguf" in _hashes(folder):
        wanted |= {f"{folder}-q8_0", f"{folder}-q4_0"}
    made = {p.values[1]["name"] for p in QUANTISED if p.values[1]["made_from"]["canary"] == folder}
    assert made == wanted


def test_a_quantised_configuration_reads_in_old_releases():
    """The published entry, group and bits, under both names; ``mode`` stops mlx-vlm 0.1.27."""
    for parameters in QUANTISED:
        folder, made = parameters.values
        if made["backend"] != "mlx":
            continue
        config = json.loads((CANARIES / folder / "config.json").read_text("utf-8"))
        bits = int(made["quantisation"].removesuffix("bit"))
        assert config["quantization"] == {"group_size": 64, "bits": bits}
        assert config["quantization_config"] == config["quantization"]
