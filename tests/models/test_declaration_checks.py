"""Damaged declarations: each fault is one sentence with file, entry, key and remedy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from qualification.core.errors import DeclarationError
from qualification.core.paths import DECLARATIONS
from qualification.models import loading
from qualification.models.footprint_fit import read_observations
from qualification.models.loading import load_registry
from qualification.models.memory_fit import predict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the declarations that ship, to be damaged."""
    return Path(shutil.copytree(DECLARATIONS, tmp_path / "declarations"))


def refusal(folder: Path, file: str) -> str:
    """Load the folder and return the one sentence that refuses it."""
    with pytest.raises(DeclarationError) as caught:
        load_registry(folder)
    sentence = str(caught.value)
    assert re.match(rf"{re.escape(str(folder / file))}(:\d+)?: ", sentence)
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


# Each case: file, text to replace ('' appends), what to put there, words the sentence must have.
WRONG = {
    "TOML syntax": ("tiers.toml", 'name = "air_m4"', "name = air_m4", ["not valid TOML", "line"]),
    "unknown key": ("models.toml", "licence = ", "license = ", ["'license' is unknown", "licence"]),
    "unknown nested key": (
        "models.toml",
        "shape = { layers",
        "shape = { layres",
        ["'qwen2.5-vl-3b'", "'shape.layres' is unknown", "'layers'"],
    ),
    "unknown key in a source": (
        "models.toml",
        'revision = "main"',
        'revison = "main"',
        ["source number 1", "'revison' is unknown", "'revision'"],
    ),
    "unknown key in a budget": (
        "tiers.toml",
        "budget = { system",
        "budget = { sytem",
        ["'mini_m4'", "'budget.sytem' is unknown", "'system'"],
    ),
    "unknown table": ("chips.toml", "", "[extra]\na = 1\n", ["'extra' is unknown", "chips"]),
    "missing key": ("chips.toml", 'bandwidth = "68 GB/s"\n', "", ["'M1'", "bandwidth", "missing"]),
    "wrong unit": (
        "chips.toml",
        '"68 GB/s"',
        '"68 GB"',
        ["'M1'", "'bandwidth'", "'68 GB' is not a bandwidth", "GB/s"],
    ),
    "bare number": ("tiers.toml", '"10 s"', "10", ["'mini_m4'", "load_limit", "10 is not a time"]),
    "number in text": (
        "models.toml",
        "layers = 36",
        'layers = "36"',
        ["'shape.layers'", "wrong type", "a whole number"],
    ),
    "text for a list": (
        "tiers.toml",
        'chips = ["M3"]',
        'chips = "M3"',
        ["'air_m3'", "'chips'", "a list in [ ]"],
    ),
    "number for true": ("tiers.toml", "vision = false", "vision = 0", ["vision", "true or false"]),
    "date for text": (
        "models.toml",
        'revision = "2025-06-21"',
        "revision = 2025-06-21",
        ["'moondream2'", "'revision'", "text in quotes"],
    ),
    "infinite number": (
        "models.toml",
        "temperature = 0.0",
        "temperature = inf",
        ["generation.temperature", "finite"],
    ),
    "unknown backend": (
        "models.toml",
        'backend = "mlx"',
        'backend = "onnx"',
        ["'backend' is 'onnx'", "'llamacpp'"],
    ),
    "unknown backend in memory.toml": (
        "memory.toml",
        'name = "mlx"',
        'name = "onnx"',
        ["backend 'onnx'", "'name' is 'onnx'", "'llamacpp'"],
    ),
    "unknown capability": (
        "models.toml",
        '"multi_image", "video", "multi_turn"]',
        '"audio"]',
        ["capabilities.3", "'audio'", "'text_only'"],
    ),
    "no parameters": (
        "models.toml",
        "parameters = 3_754_622_976",
        "parameters = 0",
        ["'qwen2.5-vl-3b'", "'parameters' is 0"],
    ),
    "duplicate model": (
        "models.toml",
        'name = "qwen2.5-vl-7b"',
        'name = "qwen2.5-vl-3b"',
        ["model 'qwen2.5-vl-3b'", "'name' is declared twice"],
    ),
    "duplicate deployment": (
        "models.toml",
        'quantisation = "8bit"',
        'quantisation = "4bit"',
        ["source number 2 (qwen2.5-vl-7b-4bit@mlx)", "declared twice"],
    ),
    "duplicate tier": (
        "tiers.toml",
        'name = "air_m4"',
        'name = "air_m3"',
        ["tier 'air_m3'", "'name' is declared twice"],
    ),
    "duplicate chip": (
        "chips.toml",
        "gpu_cores_min = 40",
        "gpu_cores_min = 30",
        ["chip 'M3 Max'", "overlaps"],
    ),
    "duplicate bug": (
        "bugs.toml",
        'identifier = "fast-processor-warning"',
        'identifier = "llava-state-corruption"',
        ["bug 'llava-state-corruption'", "'identifier' is declared twice"],
    ),
    "chip that does not exist": (
        "tiers.toml",
        'chips = ["M2 Ultra", "M3 Ultra"]',
        'chips = ["M4 Ultra"]',
        ["tier 'ultra'", "'chips'", "unknown chip 'M4 Ultra'"],
    ),
    "cores the wrong way round": (
        "chips.toml",
        "gpu_cores_max = 8\n",
        "gpu_cores_max = 6\n",
        ["chip 'M1'", "gpu_cores_max"],
    ),
    "memory the wrong way round": (
        "tiers.toml",
        'memory_max = "49 GiB"',
        'memory_max = "4 GiB"',
        ["tier 'pro_m4'", "'memory_max' is less than memory_min"],
    ),
    "thresholds the wrong way round": (
        "tiers.toml",
        "warning_share = 0.75",
        "warning_share = 0.95",
        ["tier 'mini_m4'", "budget.warning_share", "thresholds"],
    ),
    "share above one": (
        "tiers.toml",
        "speed_floor_share = 0.45",
        "speed_floor_share = 45.0",
        ["tier 'mini_m4'", "'speed_floor_share' is 45"],
    ),
    "tier that is no marker": (
        "tiers.toml",
        'name = "m5"',
        'name = "M5 Max"',
        ["tier 'M5 Max'", "'name' is no marker"],
    ),
    "source for an unknown tier": (
        "models.toml",
        'tiers = ["cuda"]',
        'tiers = ["rocm"]',
        ["qwen2.5-vl-7b-bf16@torch", "'tiers'", "unknown tier 'rocm'"],
    ),
    "vision on a text-only tier": (
        "models.toml",
        'tiers = ["studio", "ultra"]',
        'tiers = ["mini_m4", "ultra"]',
        ["qwen2.5-vl-72b-4bit@mlx", "'tiers'", "'mini_m4'", "vision models do not belong"],
    ),
    "fallback of nothing": (
        "models.toml",
        'fallback_of = "smolvlm2-500m-video-bf16@mlx"',
        'fallback_of = "mlx"',
        ["smolvlm2-500m-video-f32@torch", "'fallback_of' is 'mlx'", "no other deployment"],
    ),
    "fallback of itself": (
        "models.toml",
        'fallback_of = "smolvlm2-500m-video-bf16@mlx"',
        'fallback_of = "smolvlm2-500m-video-f32@torch"',
        ["'fallback_of'", "no other deployment"],
    ),
    "floor above the roofline": (
        "models.toml",
        'repository = "mlx-community/Qwen2.5-VL-7B-Instruct-4bit"',
        'repository = "a/b"\nspeed_floors = { air_m4 = "50 tok/s" }',
        ["qwen2.5-vl-7b-4bit@mlx", "'speed_floors.air_m4' is 50 tok/s", "30 tok/s", "120 GB/s"],
    ),
    "floor for another tier": (
        "models.toml",
        'repository = "Qwen/Qwen2.5-VL-7B-Instruct"',
        'repository = "a/b"\nspeed_floors = { air_m4 = "5 tok/s" }',
        ["'speed_floors.air_m4'", "not meant for"],
    ),
    "a quantisation that breaks identifiers": (
        "models.toml",
        'quantisation = "8bit"',
        'quantisation = "8 bit@x"',
        ["'quantisation' is '8 bit@x'", "letters, digits"],
    ),
    "a model's name that breaks identifiers": (
        "models.toml",
        'name = "moondream2"',
        'name = "vikhyatk/moondream2"',
        ["'vikhyatk/moondream2'", "'name'", "letters, digits"],
    ),
    "a single file for a library of folders": (
        "models.toml",
        'repository = "vikhyatk/moondream2"',
        'repository = "vikhyatk/moondream2"\nmodel_file = "model.gguf"',
        ["moondream2-bf16@mlx", "'model_file'", "only llama.cpp"],
    ),
    "hub without a repository": (
        "models.toml",
        'repository = "vikhyatk/moondream2"',
        'repository = ""',
        ["moondream2-bf16@mlx", "'repository'", "owner/name"],
    ),
    "canary without a folder": (
        "models.toml",
        'path = "canaries/smolvlm"\n',
        "",
        ["smolvlm-canary", "'path' is missing"],
    ),
    "GGUF without its projector": (
        "models.toml",
        'mmproj_file = "gguf/mmproj.gguf"\n',
        "",
        ["qwen2.5-vl-canary", "'mmproj_file' is missing"],
    ),
    "remote code on a branch": (
        "models.toml",
        'repository = "vikhyatk/moondream2"',
        'repository = "vikhyatk/moondream2"\nremote_code = true',
        ["moondream2-bf16@mlx", "'revision' is '2025-06-21'", "40-digit commit"],
    ),
    "bad version specifier": (
        "bugs.toml",
        'versions = "==0.3.9"',
        'versions = "0.3.9 or so"',
        ["bug 'qwen2.5-vl-3b-varying-speed'", "'versions'", "PEP 440"],
    ),
    "bad regular expression": (
        "bugs.toml",
        'failure = "decoding speed has a CV of"',
        'failure = "(varies"',
        ["bug 'qwen2.5-vl-3b-varying-speed'", "'failure' is no regular expression"],
    ),
    "bug without a test": (
        "bugs.toml",
        'tests = ["test_speed_repeats"]',
        "tests = []",
        ["'tests' is empty"],
    ),
    "bug on an unknown tier": (
        "bugs.toml",
        'tests = ["test_speed_repeats"]',
        'tests = ["test_speed_repeats"]\ntiers = ["air_m9"]',
        ["'tiers'", "unknown tier 'air_m9'"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_declaration_is_one_sentence_with_file_and_key(case: str, folder: Path) -> None:
    """Each damage is refused by one sentence that names file, entry, key and remedy."""
    file, old, new, words = WRONG[case]
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new, encoding="utf-8")
    sentence = refusal(folder, file)
    assert [word for word in words if word not in sentence] == [], sentence


def test_a_shipped_bugs_pattern_matches_a_deployment(folder: Path, monkeypatch) -> None:
    """A misspelt pattern would silently switch a known bug off."""
    file = folder / "bugs.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"llava-*@mlx"', '"lava-*@mlx"', 1), encoding="utf-8")
    load_registry(folder)  # over declarations that ship it may be about what a user replaced
    monkeypatch.setattr(loading, "DECLARATIONS", folder)
    with pytest.raises(DeclarationError, match=r"'lava-\*@mlx', which matches no deployment"):
        load_registry()


def test_an_observation_of_an_unknown_backend_is_refused_by_name(tmp_path: Path) -> None:
    """A fit would leave it out silently."""
    file = tmp_path / "measured.toml"
    text = (DECLARATIONS / "memory_measured.toml").read_text(encoding="utf-8")
    file.write_text(text.replace('backend = "mlx"', 'backend = "onnx"', 1), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"key 'backend' is 'onnx'.*'llamacpp'"):
        read_observations(file)


def test_a_backend_needs_no_line_in_memory_toml(folder: Path, monkeypatch) -> None:
    """Its deployments load, and their weights are predicted once, without any overhead."""
    file = folder / "memory.toml"
    text = file.read_text(encoding="utf-8")
    start = text.index('[[backends]]\nname = "torch"')
    end = text.index("[[backends]]", start + 1)
    file.write_text(text[:start] + text[end:], encoding="utf-8")
    monkeypatch.setattr(loading, "DECLARATIONS", folder)
    registry = load_registry()
    prediction = predict(registry.deployment("qwen2.5-vl-7b-bf16@torch"), registry)
    parts = {part.name: part for part in prediction.parts}
    assert parts["weights"].bytes == pytest.approx(2 * 8_292_166_656)
    assert (parts["activations"].bytes, parts["process"].bytes) == (0, 0)
    assert "not measured" in parts["process"].how
