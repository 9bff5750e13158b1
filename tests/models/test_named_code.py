"""What a model's configuration would have a library run is found before any library reads it."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.errors import WeightsError
from qualification.core.paths import canaries
from qualification.models.named_code import HARMLESS, refuse_code

NAMES = ("x.py", "./x.py", "../evil/x.pyc", "evil.Evil", "owner/name--evil.Evil", "x.so")
NAMES += ("kernels-community/flash-attn", "owner/kernels@main:attention", "hf://owner/name")
NAMES += ("weights.pkl", "pytorch_model.bin", " x.py ", "__main__.Evil")
KEYS = st.text(max_size=20).filter(lambda key: key not in {*HARMLESS, "auto_map"})


def folder_with(tmp_path, config, name="config.json"):
    """A folder with one configuration."""
    (tmp_path / name).write_text(json.dumps(config))
    return tmp_path


@pytest.mark.parametrize("value", NAMES)
@pytest.mark.parametrize("file", ["config.json", "processor_config.json", "generation_config.json"])
def test_a_name_of_code_is_refused_with_its_place(tmp_path, file, value):
    """One sentence: the file, the key, the value, and what a person may do."""
    folder = folder_with(tmp_path, {"text_config": [{"model_file": value}]}, file)
    with pytest.raises(WeightsError, match=r"text_config\.0\.model_file names code") as error:
        refuse_code(folder)
    assert str(folder / file) in str(error.value)
    assert "--allow-remote-code" in str(error.value)


@given(keys=st.lists(KEYS, min_size=1, max_size=6), value=st.sampled_from(NAMES))
def test_a_name_of_code_is_refused_under_any_key(tmp_path_factory, keys, value):
    """An allow-list: a key that nobody knows today is refused too."""
    config = value
    for key in keys:
        config = {key: config}
    folder = folder_with(tmp_path_factory.mktemp("model"), config)
    with pytest.raises(WeightsError, match="names code"):
        refuse_code(folder)


@pytest.mark.parametrize(
    "name", sorted(path.name for path in canaries().iterdir() if path.is_dir())
)
def test_the_canaries_name_no_code(name):
    """They have the files of the published models, auto_map and all."""
    refuse_code(canaries() / name)


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModelForCausalLM": "modeling_phi3_v.Phi3VForCausalLM"}},
        {"_name_or_path": "Qwen/Qwen2.5-VL-7B-Instruct", "transformers_version": "4.49.0.dev0"},
        {"quantization_config": {"modules_to_not_convert": ["visual.merger.mlp"]}},
        {"quantization": {"model.layers.0.mlp": {"bits": 4}}},
        {"chat_template": "{{ messages[0]['content'] }}", "rope_type": "mrope"},
        {"added_tokens_decoder": {"7": {"content": "import os.path"}}},
        {"hidden_act": "gelu_pytorch_tanh", "torch_dtype": "bfloat16", "model_type": "qwen2_5_vl"},
        {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "rms_norm_eps": 1e-6},
        {"id2label": {"0": "a.b"}, "image_grid_pinpoints": [[336, 672]]},
    ],
)
def test_what_published_models_have_is_accepted(tmp_path, config):
    """Names of classes, repositories of origin, layers, tokens and templates."""
    refuse_code(folder_with(tmp_path, config))


@pytest.mark.parametrize("text", ["{", "[" * 5000, "\0", '{"a": ' * 60 + "1" + "}" * 60])
def test_a_configuration_that_cannot_be_read_is_refused(tmp_path, text):
    """A library might read it in another way than we do."""
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError):
        refuse_code(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "../other/model.safetensors", "x.pt"])
def test_an_index_may_name_safetensors_of_its_folder_only(tmp_path, name):
    """A pickle runs code when it is opened."""
    index = {"weight_map": {"lm_head.weight": name}}
    folder = folder_with(tmp_path, index, "model.safetensors.index.json")
    with pytest.raises(WeightsError, match=r"names no \.safetensors files of this folder"):
        refuse_code(folder)


def test_pickles_beside_safetensors_are_not_opened_and_not_refused(tmp_path):
    """Older repositories have both; no library takes the pickles then."""
    index = {"weight_map": {"lm_head.weight": "pytorch_model-00001-of-00002.bin"}}
    refuse_code(folder_with(tmp_path, index, "pytorch_model.bin.index.json"))


def test_reviewed_code_is_not_refused(tmp_path):
    """remote_code = true: the person has read it."""
    from qualification.models.loading import load_registry
    from qualification.models.weights import check_files, load_request

    folder = tmp_path / "model"
    shutil.copytree(canaries() / "smolvlm", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_file": "x.py"}))
    deployment = load_registry().deployment("smolvlm-canary-f32@mlx")
    request = load_request(deployment)
    for allowed in (False, True):
        changed = {"path": str(folder), "remote_code": allowed}
        loose = type(request)(**(vars(request) | changed))
        if allowed:
            check_files(loose)
        else:
            with pytest.raises(WeightsError, match="model_file names code"):
                check_files(loose)
