"""Layouts: declared configs give the declared parameters, canaries' the tensors of their files."""

import json
import re
from math import prod

import pytest
from gguf import GGUFReader

from qualification.core.declarations import Deployment, Model, Source
from qualification.core.errors import DeclarationError
from qualification.core.paths import canaries
from qualification.models.families.table import FAMILIES, published
from qualification.models.layouts import (
    canary_folder,
    contents,
    declared,
    gguf_files,
    safetensors_files,
)
from qualification.models.loading import load_registry

CANARIES = canaries()
IN_GGUF = sorted(name for name in FAMILIES if (CANARIES / name / "gguf").is_dir())
REGISTRY = load_registry()
REAL = [model for model in REGISTRY.models if model.sources[0].weights == "hub"]


def _config(family):
    return json.loads((CANARIES / family / "config.json").read_text())


def _declared(model):
    return declared(Deployment(model, model.sources[0]))["config.json"]


def _file(path):
    """Name -> (shape, type, bytes) of a safetensors file, and its metadata."""
    with path.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    metadata = header.pop("__metadata__")
    return {
        name: (tuple(entry["shape"]), entry["dtype"], end - start)
        for name, entry in header.items()
        for start, end in [entry["data_offsets"]]
    }, metadata


def _as_file(tensors):
    return {tensor.name: (tensor.shape, tensor.dtype, tensor.bytes) for tensor in tensors}


@pytest.mark.parametrize("model", REAL, ids=lambda model: model.name)
def test_a_declared_config_counts_to_the_declared_parameters(model):
    """All tensors together have exactly ``parameters`` values."""
    shapes = published(_declared(model))
    assert sum(map(prod, shapes.values())) == model.parameters


@pytest.mark.parametrize("model", REAL, ids=lambda model: model.name)
def test_a_declared_config_has_the_declared_shape(model):
    """models.toml and the config file say the same of the language model."""
    text = gguf_files.text_config(_declared(model))
    shape = model.shape
    assert shape.layers == text["num_hidden_layers"]
    assert shape.hidden_size == text["hidden_size"]
    assert shape.intermediate_size == text["intermediate_size"]
    assert (shape.heads, shape.kv_heads) == (
        text["num_attention_heads"],
        text["num_key_value_heads"],
    )
    assert shape.vocab_size == text["vocab_size"]


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_layout_of_a_canary_is_its_file(family):
    """Published names and shapes, tensor by tensor."""
    tensors, _ = _file(CANARIES / family / "model.safetensors")
    written = {name: entry for name, entry in tensors.items() if "model.region." not in name}
    assert _as_file(safetensors_files.plain(_config(family), "f32")) == written


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_layout_of_a_converted_canary_is_its_file(family, bits):
    """The tensors that mlx_vlm.convert packs, and those that it leaves in full precision."""
    written, _ = _file(CANARIES / f"{family}-{bits}" / "model.safetensors")
    assert _as_file(safetensors_files.mlx_quantised(_config(family), bits)) == written


def _gguf(path):
    return {
        tensor.name: (
            tuple(int(side) for side in reversed(tensor.shape)),
            tensor.tensor_type.name,
            int(tensor.n_bytes),
        )
        for tensor in GGUFReader(path).tensors
    }


@pytest.mark.parametrize(
    ("file", "quantisation"),
    [("model.gguf", "f32"), ("model-q8_0.gguf", "Q8_0"), ("model-q4_0.gguf", "Q4_0")],
)
@pytest.mark.parametrize("family", IN_GGUF)
def test_the_layout_of_a_text_model_is_its_gguf(family, file, quantisation):
    """llama.cpp's names, and the types that llama_model_quantize chose."""
    written = _gguf(CANARIES / family / "gguf" / file)
    assert _as_file(gguf_files.text_model(_config(family), quantisation)) == written


@pytest.mark.parametrize("family", IN_GGUF)
def test_the_layout_of_a_vision_part_is_its_mmproj(family):
    """llama.cpp's names for the tower and the projector."""
    written = _gguf(CANARIES / family / "gguf/mmproj.gguf")
    assert _as_file(gguf_files.mmproj(_config(family), "F32")) == written


@pytest.mark.parametrize(
    "deployment",
    [d for d in REGISTRY.deployments() if d.source.weights == "hub"],
    ids=lambda deployment: deployment.identifier,
)
def test_every_declared_deployment_has_a_layout(deployment):
    """Each source of real weights can be written, and no name comes twice in a file."""
    for tensors in contents(deployment).values():
        assert tensors
        assert len({tensor.name for tensor in tensors}) == len(tensors)


def test_q4_k_m_mixes_as_llama_quantize_does():
    """Half of the value and down projections and the output have six bits."""
    config = declared(REGISTRY.deployment("qwen2.5-vl-3b-Q4_K_M@llamacpp"))["config.json"]
    types = {tensor.name: tensor.dtype for tensor in gguf_files.text_model(config, "Q4_K_M")}
    assert types["token_embd.weight"] == "Q6_K"  # tied: it is the output too
    down = [types[f"blk.{layer}.ffn_down.weight"] for layer in range(36)]
    assert down[:4] == ["Q6_K"] * 4
    assert down[-5:] == ["Q6_K"] * 5
    assert down.count("Q6_K") == 18
    assert types["blk.0.attn_k.weight"] == "Q4_K"
    assert types["blk.0.attn_norm.weight"] == "F32"


@pytest.fixture
def own(tmp_path):
    """``own(config, **source)``: a deployment of a user's model with this text as its config."""

    def of(config, *, backend="torch", **source):
        file = tmp_path / "own.json"
        file.write_text(config)
        source = Source(backend, "bf16", **source)
        model = Model("own", "qwen2_vl", 1, "MIT", ("vision",), (source,), config=str(file))
        return Deployment(model, source)

    return of


def test_a_plain_config_is_a_config(own):
    """The published config.json itself: its family's canary gives the processor's files."""
    deployment = own((CANARIES / "qwen2_vl/config.json").read_text())
    assert contents(deployment)["model.safetensors"]
    assert canary_folder(deployment) == CANARIES / "qwen2_vl"


def test_the_folder_of_the_processor_files_lies_beside_the_config(own, tmp_path):
    """``canary`` is relative to the file that names it."""
    (tmp_path / "processor").mkdir()
    (tmp_path / "processor/config.json").write_text("{}")
    deployment = own('{"canary": "processor", "config.json": {}}')
    assert canary_folder(deployment) == tmp_path / "processor"


def test_a_local_folder_has_its_own_config():
    """Neither a declared file nor a name: the files' own config.json."""
    source = Source("torch", "f32", path=str(CANARIES / "qwen2_vl"))
    deployment = Deployment(Model("own", "qwen2_vl", 1, "MIT", ("vision",), (source,)), source)
    assert contents(deployment)["model.safetensors"]


def test_a_text_model_alone_has_no_projector(own):
    """llama.cpp, and no ``mmproj_file``."""
    config = (CANARIES / "qwen2_5_vl/config.json").read_text()
    deployment = own(config, backend="llamacpp", model_file="model.gguf")
    assert list(contents(deployment)) == ["model.gguf"]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("{", "own.json: cannot be read as JSON"),
        ("[]", "own.json: is no JSON object"),
        ('{"model_type": "toy"}', "family 'toy': known are qwen2_vl, qwen2_5_vl, smolvlm"),
        ("{}", "known are qwen2_vl"),
        ('{"canary": "absent", "config.json": {}}', 'as "canary" in configs'),
    ],
)
def test_what_gives_no_layout_is_one_sentence(own, config, sentence):
    """The file or the family, and what to write."""
    read = canary_folder if "canary" in config else contents
    with pytest.raises(DeclarationError, match=re.escape(sentence)):
        read(own(config))


def test_a_model_without_a_config_names_the_file_to_write():
    """Neither declared nor local."""
    source = Source("torch", "bf16", repository="a/b")
    deployment = Deployment(Model("own", "qwen2_vl", 1, "MIT", ("vision",), (source,)), source)
    with pytest.raises(DeclarationError, match=r"own has no configs/own\.json"):
        contents(deployment)
