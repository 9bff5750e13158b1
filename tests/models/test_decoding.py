"""The tensors that decoding reads, by the names in real layouts and in models that are not ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import DeclarationError
from qualification.models import layouts
from qualification.models.decoding import decode_bytes
from qualification.models.footprint import decode_bytes_per_token
from qualification.models.loading import load_registry
from qualification.models.tensor_headers import TensorInfo
from qualification.models.weights import tensors_here

REGISTRY = load_registry()
LAYER = ("layers.0.self_attn.q_proj.weight", "layers.1.mlp.down_proj.weight")


def tensors_of(deployment):
    """Those of a real model's layout; none where it has no layout."""
    try:
        return [tensor for file in layouts.contents(deployment).values() for tensor in file]
    except DeclarationError:
        return []


def named(*names, size=100):
    """Matrices of these names."""
    return [TensorInfo(name, (10, 10), "F16", size) for name in names]


def test_the_layout_of_every_real_model_gives_what_its_shape_gives():
    """To the byte, except where GGUF mixes larger formats into the named one."""
    real = [d for d in REGISTRY.deployments() if d.source.weights == "hub" and tensors_of(d)]
    assert len(real) > 10
    for deployment in real:
        read = decode_bytes(tensors_of(deployment), {})
        declared = decode_bytes_per_token(deployment.model.shape, deployment.source.quantisation)
        if deployment.source.quantisation.endswith("_M"):
            assert declared < read < 1.2 * declared, deployment.identifier
        else:
            assert read == declared, deployment.identifier


def test_every_canary_says_what_decoding_reads():
    """In safetensors and GGUF, quantised or not."""
    canaries = [d for d in REGISTRY.deployments() if d.source.weights == "canary"]
    for deployment in canaries:
        tensors = tensors_here(deployment)
        total = sum(tensor.bytes for tensor in tensors)
        assert 0 < decode_bytes(tensors, {}) < total, deployment.identifier


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (["model.embed_tokens.weight"], 3),
        (["model.embed_tokens.weight", "lm_head.weight"], 3),
        (["lm_head.weight", "lm_head.scales", "lm_head.biases"], 5),
        (["visual.layers.0.attn.qkv.weight", "model.merger.mlp.weight"], 2),
        (["mtp.layers.0.mlp.up_proj.weight"], 2),
        (["model.layers.2.eh_proj.weight", "model.layers.2.mlp.up_proj.weight"], 2),
    ],
)
def test_what_is_not_read_for_each_token_is_left_out(names, read):
    """The input embedding counts where the model has no other head; drafting layers do not."""
    tensors = named(*(f"model.{name}" for name in LAYER), *names)
    vectors = [TensorInfo("model.layers.0.input_layernorm.weight", (10,), "F32", 40)]
    assert decode_bytes([*tensors, *vectors], {}) == 100 * read


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["model.layers.0.mlp.experts.3.up_proj.weight"],
        ["blk.0.ffn_gate_exps.weight"],
        ["other_model.layers.0.mlp.up_proj.weight"],
        ["model.layers.0.cross_attn.q_proj.weight"],
    ],
)
def test_a_doubt_gives_no_figure(names):
    """No layer, experts of which a token reads a part, two language models."""
    layers = [f"model.{name}" for name in LAYER] if names else ["lm_head.weight"]
    assert decode_bytes(named(*layers, *names), {}) == 0


@pytest.mark.parametrize(
    "options",
    [{"torch_dtype": "bfloat16"}, {"load_in_4bit": True}, {"quantization_config": {"bits": 4}}],
)
def test_weights_that_the_loader_converts_give_no_figure(options):
    """What it reads is not what the files hold."""
    tensors = named(*(f"model.{name}" for name in LAYER))
    assert decode_bytes(tensors, {"attn_implementation": "eager"}) == 200
    assert decode_bytes(tensors, options) == 0


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_names_give_at_most_what_the_file_holds(names):
    """Hostile names too."""
    tensors = named(*(f"model.{name}" for name in LAYER), *names)
    assert 0 <= decode_bytes(tensors, {}) <= 100 * len(tensors)
