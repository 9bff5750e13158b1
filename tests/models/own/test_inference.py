"""What the files say: family, capabilities, quantisation, size, context; nothing is run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.declarations import Deployment
from qualification.core.errors import WeightsError
from qualification.core.paths import canaries
from qualification.models.loading import load_registry
from qualification.models.memory_fit import predict
from qualification.models.own.inference import described
from qualification.models.own.targets import Target, find
from qualification.models.tensor_headers import read_keys
from qualification.models.weights import check_files, load_request, tensors_here

REGISTRY = load_registry()
FOLDERS = [
    deployment
    for deployment in REGISTRY.deployments()
    if deployment.source.weights == "canary" and deployment.source.backend in ("mlx", "torch")
]
GGUF = [
    deployment
    for deployment in REGISTRY.deployments()
    if deployment.source.weights == "canary" and deployment.source.backend == "llamacpp"
]
KEYS = st.sampled_from(
    (
        *("model_type", "text_config", "vision_config", "quantization", "quantization_config"),
        *("bits", "hidden_size", "num_attention_heads", "max_position_embeddings", "torch_dtype"),
        *("vocab_size", "quant_method"),
    )
) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("declared", FOLDERS, ids=lambda deployment: deployment.identifier)
def test_a_folder_says_what_its_declaration_says(declared):
    """Of every canary: what a person had declared before."""
    model, note = described(find(declared.source.path))
    places = {source.place: source for source in model.sources}
    assert declared.source.backend in places
    assert places[declared.source.backend].quantisation == declared.source.quantisation
    assert model.context == min(4096, declared.model.context)
    assert model.parameters == pytest.approx(declared.model.parameters, rel=0.05)
    assert "vision" in model.capabilities
    assert ("video" in model.capabilities) >= ("video" in declared.model.capabilities)
    assert model.shape is not None
    assert note.startswith(f"{model.name}: family {model.family}, ")


@pytest.mark.parametrize("declared", GGUF, ids=lambda deployment: deployment.identifier)
def test_a_gguf_says_what_its_declaration_says(declared):
    """Architecture, context, format and projector from its metadata."""
    declared_source, quantisation = declared.source, declared.source.quantisation
    files = (declared_source.model_file, declared_source.mmproj_file)
    target = Target(f"x-{quantisation}", Path(declared_source.path), *files)
    model, _ = described(target)
    assert [source.place for source in model.sources] == ["llamacpp", "llama.cpp"]
    assert {source.quantisation for source in model.sources} == {quantisation}
    assert model.name == "x"
    assert model.parameters == pytest.approx(declared.model.parameters, rel=0.1)
    assert model.context == min(4096, declared.model.context)
    assert {"vision", "multi_image"} <= set(model.capabilities)
    text, _ = described(Target("x", target.folder, target.model_file))
    assert text.capabilities == ("text_only", "multi_turn")


def test_an_undeclared_model_passes_the_checks_and_has_a_footprint():
    """As the run makes them before it loads."""
    for text in (canaries() / "smolvlm", canaries() / "smolvlm/gguf/model-q8_0.gguf"):
        model, _ = described(find(str(text)))
        for source in model.sources:
            deployment = Deployment(model, source)
            check_files(load_request(deployment))
            predicted = predict(deployment, REGISTRY, tensors_here(deployment))
            assert "tensors" in predicted.sentence


def test_a_mixture_of_experts_reads_its_active_width(tmp_path):
    """Experts of a token times the width of one; the parameters count all."""
    folder = tmp_path / "moe"
    shutil.copytree(canaries() / "smolvlm", folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
    (folder / "config.json").write_text(json.dumps(config))
    model, _ = described(find(str(folder)))
    assert model.shape.intermediate_size == 64


def test_what_cannot_be_told_is_said(tmp_path):
    """Without a shape there is no roofline."""
    folder = tmp_path / "odd"
    shutil.copytree(canaries() / "smolvlm", folder)
    (folder / "config.json").write_text('{"model_type": "odd"}')
    model, note = described(find(str(folder)))
    assert model.shape is None
    assert "its shape cannot be told" in note


@given(config=st.dictionaries(KEYS, JSON, max_size=8))
def test_any_configuration_is_a_model_or_one_error(config, tmp_path_factory):
    """It is hostile: it causes no other exception."""
    folder = tmp_path_factory.mktemp("model")
    shutil.copy(canaries() / "smolvlm/model.safetensors", folder)
    (folder / "config.json").write_text(json.dumps(config))
    try:
        model, _ = described(find(str(folder)))
    except WeightsError:
        return
    assert model.parameters > 0
    assert 0 < model.context <= 4096


@given(cut=st.integers(0, 3000), flip=st.integers(0, 3000), byte=st.integers(0, 255))
def test_any_gguf_has_keys_or_is_one_error(cut, flip, byte, tmp_path_factory):
    """Truncated anywhere, or with any byte changed."""
    data = bytearray((canaries() / "smolvlm/gguf/model.gguf").read_bytes()[: cut + 1])
    if flip < len(data):
        data[flip] = byte
    file = tmp_path_factory.mktemp("gguf") / "x.gguf"
    file.write_bytes(data)
    try:
        keys = read_keys(file)
    except WeightsError:
        return
    assert all(isinstance(value, int | float | str) for value in keys.values())
