"""The declarations that ship: complete, in order, found by name."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qualification.core.declarations import Source
from qualification.core.errors import SelectionError
from qualification.core.units import parse_quantity
from qualification.models.footprint import decode_bound_tps
from qualification.models.loading import load_registry
from qualification.models.registry import address_name

UNITS = {"time": "s", "memory": "GiB", "bandwidth": "GB/s", "rate": "tok/s"}
REGISTRY = load_registry()
Place = tuple[str, int, list[str]]
FACTORS = {"time": 1.0, "memory": 2.0**30, "bandwidth": 1e9, "rate": 1.0}


def test_every_model_of_the_published_documents_and_every_tier_is_declared() -> None:
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
    canaries = [d for d in registry.deployments() if d.source.weights == "canary"]
    backends = {(canary.model.family, canary.source.backend) for canary in canaries}
    expected = {
        "qwen2_5_vl": "mlx torch llamacpp server",
        "qwen2_vl": "mlx torch",
        "smolvlm": "mlx torch llamacpp server",
        "smolvlm2": "mlx torch",
        "phi3_v": "mlx",
        "llava_next": "mlx torch llamacpp server",
        "moondream2": "mlx llamacpp server",
    }
    assert backends == {
        (family, name) for family, names in expected.items() for name in names.split()
    }
    assert not any(canary.source.tiers for canary in canaries)
    names = " ".join(tier.name for tier in registry.tiers)
    assert names == "mini_m4 air_m3 air_m4 pro_m4 max_m4 studio ultra m5 linux_cpu cuda"


def test_canary_parameters_are_those_of_the_committed_weights() -> None:
    """The declared count and precision are what the safetensors header says."""
    for deployment in load_registry().deployments():
        if deployment.source.weights != "canary" or deployment.source.quantisation != "f32":
            continue
        raw = (Path(deployment.source.path) / "model.safetensors").read_bytes()
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
    assert [(d.model.name, d.source) for d in registry.deployments()] == expected
    for deployment in registry.deployments():
        assert registry.deployment(deployment.identifier) == deployment


def test_unknown_deployment_and_tier_name_the_nearest() -> None:
    """A misspelt selection is answered with what was probably meant."""
    registry = load_registry()
    with pytest.raises(SelectionError, match=r"did you mean 'qwen2\.5-vl-7b-4bit@mlx'"):
        registry.deployment("qwen2.5-vl-7b-4bit@mlxx")
    with pytest.raises(SelectionError, match="did you mean 'air_m4'"):
        registry.tier("air_m44")


def test_declared_quantities_are_si_numbers() -> None:
    """Text with a unit becomes seconds, bytes and bytes per second."""
    tier = load_registry().tier("air_m4")
    assert (tier.load_limit, tier.budget.system, tier.memory_min) == (10.0, 8e9, 31 * 2**30)
    assert tier.memory_min < 32 * 2**30 < tier.memory_max


def test_published_floor_of_the_air_is_above_what_physics_allows() -> None:
    """50 tok/s for the 7B on an Air M4, as published, is above its roofline."""
    registry = load_registry()
    deployment = registry.deployment("qwen2.5-vl-7b-4bit@mlx")
    (bandwidth,) = (chip.bandwidth for chip in registry.chips if chip.name == "M4")
    assert deployment.model.shape is not None
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


def test_loading_imports_no_ml_library() -> None:
    """The parent reads declarations without torch, mlx, transformers or numpy."""
    code = (
        "import sys; from qualification.models.loading import load_registry; load_registry();"
        "print([n for n in ('torch','mlx','transformers','llama_cpp','numpy') if n in sys.modules])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ast.literal_eval(process.stdout) == []


@pytest.mark.parametrize("mmproj", ["/home/me/p.gguf", "../p.gguf", "p.gguf"])
def test_synthetic_weights_have_no_file_outside_their_folder(mmproj: str) -> None:
    """A projector that lies elsewhere is made again, not overwritten."""
    registry = load_registry()
    deployment = registry.deployment("smolvlm-500m-Q8_0@llamacpp")
    source = replace(deployment.source, path="/home/me/models", mmproj_file=mmproj)
    model = replace(deployment.model, sources=(source,))
    (random,) = replace(registry, models=(model,)).with_weights("synthetic").deployments()
    assert random.source.mmproj_file == "p.gguf"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8080/v1", "127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
        ("http://LOCALHOST", "localhost:80"),
        ("https://me:secret@gpu.example/v1?key=secret#secret", "gpu.example:443"),
        ("http://me:s@cret@h:8080/llm/a b/v1/", "h:8080+llm+a-b"),
        ("http://[::1]:8080/v1", "--1:8080"),
        ("http://[fe80::1%25eth0]/v1", "fe80--1-25eth0:80"),
    ],
)
def test_a_users_server_is_named_by_its_address(url: str, name: str) -> None:
    """Host, port and path; neither a user nor a key."""
    (deployment,) = load_registry().with_server(url, "org/Some Model").deployments()
    assert deployment.identifier == f"Some-Model-as-served@{name}"
    assert deployment.source.options == {"url": url, "model": "org/Some Model"}
    assert "secret" not in deployment.identifier


@given(st.text(), st.text(max_size=300), st.text(max_size=300))
def test_any_servers_name_fits_where_identifiers_are_used(host: str, path: str, model: str) -> None:
    """File names, shell patterns, ids of tests, TIER/DEPLOYMENT; whatever else is no address."""
    url = f"http://me:secret@{host}/{path}"
    try:
        (deployment,) = REGISTRY.with_server(url, model).deployments()
    except SelectionError:
        return
    name = deployment.identifier
    assert re.fullmatch(
        r"[A-Za-z0-9._][A-Za-z0-9._-]*-as-served@[A-Za-z0-9._+-]+:\d+[\w.+-]*", name
    )
    assert fnmatch.fnmatchcase(name, name)
    assert "::" not in name
    assert REGISTRY.with_server(url, model).matching([name]).deployments() == (deployment,)


PLACES = st.tuples(
    st.from_regex(r"[a-z0-9]+(\.[a-z0-9]+)*", fullmatch=True),
    st.integers(1, 65535),
    st.lists(st.from_regex("[a-z0-9_.-]+", fullmatch=True), max_size=2),
)


@given(PLACES, PLACES)
def test_two_servers_have_two_names(a: Place, b: Place) -> None:
    """And one has the same name however its URL ends."""
    assume(not {"v1", "api"} & {*a[2], *b[2]})
    urls = [f"http://{host}:{port}/{''.join(f'{n}/' for n in path)}" for host, port, path in (a, b)]
    names = [address_name(url) for url in urls]
    assert (names[0] == names[1]) == (a == b)
    assert address_name(f"{urls[0]}v1") == address_name(urls[0].rstrip("/")) == names[0]


@pytest.mark.parametrize("url", ["http://", "http://[::1", "nonsense", "http://[me:secret@/v1"])
def test_what_is_no_address_is_refused_without_its_text(url: str) -> None:
    """Which may hold a password."""
    with pytest.raises(SelectionError, match=r"no address: write one such as") as refusal:
        load_registry().with_server(url)
    assert "secret" not in str(refusal.value)


def test_a_declared_server_keeps_its_name() -> None:
    """The user gave it, and two of one name are refused."""
    source = Source("server", "4bit", server="url", options={"url": "http://127.0.0.1:1/v1"})
    assert source.place == "url"
