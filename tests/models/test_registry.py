"""Declarations: those that ship are sound, and each wrong thing is one clear sentence."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import DeclarationError, SelectionError
from qualification.core.paths import home
from qualification.core.units import parse_quantity
from qualification.models.footprint import decode_bound_tps
from qualification.models.loading import load_registry
from qualification.models.registry import DECLARATIONS

UNITS = {"time": "s", "memory": "GiB", "bandwidth": "GB/s", "rate": "tok/s"}
FACTORS = {"time": 1.0, "memory": 2.0**30, "bandwidth": 1e9, "rate": 1.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the declarations that ship, to be damaged."""
    return Path(shutil.copytree(DECLARATIONS, tmp_path / "declarations"))


def refusal(folder: Path, file: str) -> str:
    """Load the folder and return the one sentence that refuses it."""
    with pytest.raises(DeclarationError) as caught:
        load_registry(folder)
    sentence = str(caught.value)
    assert sentence.startswith(f"{folder / file}: ")
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


def test_every_seed_model_and_every_tier_is_declared() -> None:
    """The registry that ships has the models of the documents, both canaries and ten tiers."""
    registry = load_registry()
    identifiers = {deployment.identifier for deployment in registry.deployments()}
    assert identifiers >= {
        "qwen2.5-vl-3b-4bit@mlx",
        "qwen2.5-vl-7b-4bit@mlx",
        "qwen2.5-vl-7b-8bit@mlx",
        "qwen2.5-vl-32b-4bit@mlx",
        "qwen2.5-vl-72b-4bit@mlx",
        "qwen2-vl-2b-4bit@mlx",
        "smolvlm-500m-Q8_0@llamacpp",
        "smolvlm2-500m-video-bf16@mlx",
        "phi-3.5-vision-4bit@mlx",
        "llava-1.6-mistral-7b-4bit@mlx",
        "moondream2-bf16@mlx",
    }
    canaries = [one for one in registry.deployments() if one.source.weights == "canary"]
    backends = {(one.model.family, one.source.backend) for one in canaries}
    on = {
        "qwen2_5_vl": "mlx torch llamacpp server",
        "qwen2_vl": "mlx torch",
        "smolvlm": "mlx torch llamacpp server",
        "smolvlm2": "mlx torch",
        "phi3_v": "mlx",
        "llava_next": "mlx torch llamacpp",
        "moondream2": "mlx llamacpp",
    }
    assert backends == {(family, name) for family, names in on.items() for name in names.split()}
    assert not any(one.source.tiers for one in canaries)
    names = " ".join(tier.name for tier in registry.tiers)
    assert names == "mini_m4 air_m3 air_m4 pro_m4 max_m4 studio ultra m5 linux_cpu cuda"


def test_canary_parameters_are_those_of_the_committed_weights() -> None:
    """The declared count and precision are what the safetensors header says."""
    fixtures = home() / "fixtures"
    for deployment in load_registry().deployments():
        if deployment.source.weights != "canary" or deployment.source.quantisation != "f32":
            continue
        raw = (fixtures / deployment.source.path / "model.safetensors").read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        header.pop("__metadata__", None)
        sizes = []
        for tensor in header.values():
            size = 1
            for length in tensor["shape"]:
                size *= length
            sizes.append(size)
        assert sum(sizes) == deployment.model.parameters
        if deployment.source.backend != "llamacpp":
            kinds = {tensor["dtype"].lower() for tensor in header.values()}
            assert kinds == {deployment.source.quantisation}


def test_deployments_keep_the_declared_order_and_are_found_by_identifier() -> None:
    """Models in file order, the sources of each in theirs, and each is found by its name."""
    registry = load_registry()
    expected = [(model.name, source) for model in registry.models for source in model.sources]
    assert [(one.model.name, one.source) for one in registry.deployments()] == expected
    for deployment in registry.deployments():
        assert registry.deployment(deployment.identifier) == deployment


def test_unknown_deployment_and_tier_name_the_nearest() -> None:
    """A misspelt selection is answered with what was probably meant."""
    registry = load_registry()
    with pytest.raises(SelectionError, match=r"did you mean 'qwen2\.5-vl-7b-4bit@mlx'"):
        registry.deployment("qwen2.5-vl-7b-4bit@mlxx")
    with pytest.raises(SelectionError, match="did you mean 'air_m4'"):
        registry.tier("air_m44")


@pytest.mark.parametrize(
    ("chip", "cores", "gigabytes"),
    [
        ("M4", 10, 120),
        ("Apple M4 Max", 32, 410),
        ("Apple M4 Max", 40, 546),
        ("M3 Max", 30, 300),
        ("M4", 0, 120),
        ("M4 Max", 0, None),
        ("M4 Max", 36, None),
        ("M4 Ultra", 80, None),
        ("Intel Core i7", 0, None),
    ],
)
def test_bandwidth_is_told_from_variants_by_cores(
    chip: str, cores: int, gigabytes: float | None
) -> None:
    """One name with two bandwidths needs the cores; what is not in the table has none."""
    expected = None if gigabytes is None else gigabytes * 1e9
    assert load_registry().bandwidth(chip, cores) == expected


def test_declared_quantities_are_si_numbers() -> None:
    """Text with a unit becomes seconds, bytes and bytes per second."""
    tier = load_registry().tier("air_m4")
    assert (tier.load_limit, tier.budget.system, tier.memory_min) == (10.0, 8e9, 31 * 2**30)
    assert tier.memory_min < 32 * 2**30 < tier.memory_max


def test_published_floor_of_the_air_is_above_what_physics_allows() -> None:
    """50 tok/s for the 7B on an Air M4, as published, is above its roofline."""
    registry = load_registry()
    deployment = registry.deployment("qwen2.5-vl-7b-4bit@mlx")
    bandwidth = registry.bandwidth("M4", 10)
    assert deployment.model.shape is not None
    assert bandwidth is not None
    assert decode_bound_tps(deployment.model.shape, "4bit", bandwidth) < 50


@given(
    st.sampled_from(sorted(UNITS)),
    st.decimals(min_value=0, max_value=10**6, places=3),
    st.sampled_from(["", " ", "  "]),
)
def test_quantities_round_trip(dimension: str, amount: object, space: str) -> None:
    """A number written with its unit is read back as that number in SI units."""
    read = parse_quantity(f"{amount}{space}{UNITS[dimension]}", dimension)
    assert read == pytest.approx(float(str(amount)) * FACTORS[dimension])


@given(st.sampled_from(sorted(UNITS)), st.one_of(st.integers(), st.floats(), st.text(), st.none()))
def test_what_is_no_quantity_is_refused_or_finite(dimension: str, value: object) -> None:
    """Bare numbers are refused, and nothing that is accepted is infinite or negative."""
    try:
        read = parse_quantity(value, dimension)
    except ValueError:
        return
    assert isinstance(value, str)
    assert 0 <= read < float("inf")


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
        ["deployment 'qwen2.5-vl-7b-4bit@mlx'", "declared twice"],
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
    "marks the wrong way round": (
        "tiers.toml",
        "warning_share = 0.75",
        "warning_share = 0.95",
        ["tier 'mini_m4'", "budget.warning_share"],
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
    "unknown quantisation": (
        "models.toml",
        'quantisation = "8bit"',
        'quantisation = "int8"',
        ["'quantisation' is 'int8'", "8bit"],
    ),
    "hub without a repository": (
        "models.toml",
        'repository = "vikhyatk/moondream2"',
        'repository = ""',
        ["moondream2-bf16@mlx", "'repository'", "owner/name"],
    ),
    "canary outside the fixtures": (
        "models.toml",
        'path = "canaries/smolvlm"',
        'path = "../../elsewhere"',
        ["smolvlm-canary", "'path'", "fixtures/"],
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
        'failure = "decoding speed varies by"',
        'failure = "(varies"',
        ["bug 'qwen2.5-vl-3b-varying-speed'", "'failure' is no regular expression"],
    ),
    "pattern that matches nothing": (
        "bugs.toml",
        'deployments = ["llava-*@mlx"]',
        'deployments = ["lava-*@mlx"]',
        ["bug 'llava-state-corruption'", "'lava-*@mlx'", "matches no deployment"],
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


def test_misspelt_required_key_is_named_and_not_the_missing_one(folder: Path) -> None:
    """The cause (a key that is unknown) is said, not its consequence (one that is missing)."""
    path = folder / "models.toml"
    path.write_text(path.read_text().replace("family = ", "famly = "))
    assert "key 'famly' is unknown" in refusal(folder, "models.toml")


@pytest.mark.parametrize("content", [b"# \xff\xfe\n", b"\x00\x01", b"", b"models = 3\n"])
def test_file_of_another_kind_is_one_sentence(content: bytes, folder: Path) -> None:
    """Another encoding, binary, empty, or another structure: one sentence, no traceback."""
    (folder / "models.toml").write_bytes(content)
    refusal(folder, "models.toml")


def test_missing_file_is_named(folder: Path) -> None:
    """A folder without one of the four files is refused with the file's name."""
    (folder / "bugs.toml").unlink()
    assert "cannot be read" in refusal(folder, "bugs.toml")


def test_loading_imports_no_ml_library() -> None:
    """The parent reads declarations without torch, mlx, transformers or numpy."""
    code = (
        "import sys; from qualification.models.registry import load_registry; load_registry();"
        "print([n for n in ('torch','mlx','transformers','llama_cpp','numpy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ast.literal_eval(done.stdout) == []
