"""What the files contradict: metadata, tensors, templates, placeholders, stop tokens."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.paths import canaries
from qualification.models.loading import load_registry
from qualification.models.own.contradictions import contradictions
from qualification.models.own.inference import described
from qualification.models.own.targets import find

CANARIES = sorted(
    {
        str(find(deployment.source.path).folder)
        for deployment in load_registry().deployments()
        if deployment.source.weights == "canary" and deployment.source.backend in ("mlx", "torch")
    }
)


def doubts(target, **options):
    """What is said of a target."""
    files = find(str(target))
    return list(contradictions(files, described(files)[0], **options))


@pytest.mark.parametrize("folder", CANARIES, ids=lambda folder: folder.rsplit("canaries/", 1)[-1])
def test_a_model_that_works_is_not_doubted(folder):
    """All canaries answer, so nothing may be said of them."""
    assert doubts(folder) == []


@pytest.mark.parametrize("file", sorted(canaries().glob("*/gguf/model*.gguf")), ids=str)
def test_a_gguf_that_works_is_not_doubted(file):
    """As above."""
    assert doubts(file) == []


@pytest.fixture
def model(tmp_path):
    """A canary in a folder whose files can be changed: ``model(name, change)``."""
    folder = tmp_path / "tiny"
    shutil.copytree(canaries() / "qwen2_5_vl", folder, ignore=shutil.ignore_patterns("*gguf*"))

    def changed(name, **keys):
        file = folder / name
        document = json.loads(file.read_text()) if file.is_file() else {}
        file.write_text(json.dumps(document | keys))
        return folder

    return changed


def config(**keys):
    """The canary's configuration with other values, in its text part too."""
    return json.loads((canaries() / "qwen2_5_vl/config.json").read_text()) | keys


@pytest.mark.parametrize(
    ("name", "keys", "sentence"),
    [
        ("config.json", {"num_hidden_layers": 99}, "its metadata says 99 layers, its weights have"),
        ("config.json", {"hidden_size": 99}, "its metadata says a width of 99, its embeddings"),
        ("config.json", {"image_token_id": 99_999}, "marks an image by token 99999"),
        (
            "chat_template.json",
            {"chat_template": "{% for p in messages[0].content %}{{ p.type }}{% endfor %}"},
            "its chat template writes no placeholder for an image",
        ),
    ],
)
def test_a_contradiction_is_one_sentence(model, name, keys, sentence):
    """What is written against what is there."""
    folder = model(name, **keys)
    for beside in ("chat_template.jinja", "tokenizer_config.json"):
        if "chat_template" in keys and (folder / beside).is_file():
            document = (folder / beside).read_text()
            if beside.endswith(".jinja"):
                (folder / beside).unlink()
            else:
                without = {k: v for k, v in json.loads(document).items() if k != "chat_template"}
                (folder / beside).write_text(json.dumps(without))
    (doubt,) = doubts(folder)
    assert sentence in doubt


def test_a_suppressed_stop_token_is_doubtful(model):
    """Such a model never ends an answer."""
    folder = model("generation_config.json")
    stop = json.loads((folder / "generation_config.json").read_text())["eos_token_id"]
    stop = stop[0] if isinstance(stop, list) else stop
    for keys in ({"suppress_tokens": [stop]}, {"bad_words_ids": [[stop]]}):
        model("generation_config.json", suppress_tokens=None, bad_words_ids=None)
        (doubt,) = doubts(model("generation_config.json", **keys))
        assert doubt.startswith("generation_config.json suppresses the token that ends an answer")


def test_an_end_of_turn_that_does_not_stop_is_doubtful(model):
    """The tokeniser ends a turn, the configuration waits for another token."""
    folder = model("generation_config.json", eos_token_id=3)
    (doubt,) = doubts(folder)
    assert "its tokeniser ends a turn with <|im_end|>" in doubt
    assert doubt.endswith("its configuration with 3: answers may not end")


def test_a_gguf_under_another_name_is_doubtful(tmp_path):
    """By its metadata it is another quantisation; mixtures of one format are not another."""
    source = canaries() / "qwen2_5_vl/gguf/model-q8_0.gguf"
    for name, doubted in (("tiny-Q4_K_M.gguf", True), ("tiny-Q8_0.gguf", False)):
        shutil.copy(source, tmp_path / name)
        assert bool(doubts(tmp_path / name)) is doubted
        (tmp_path / name).unlink()


def test_a_template_of_a_gguf_is_compared_with_the_one_beside_it(tmp_path):
    """Two that differ give two prompts."""
    shutil.copy(canaries() / "smolvlm/gguf/model.gguf", tmp_path / "tiny-f32.gguf")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }} <image>")
    assert "its chat template is not the one that lies beside it" in doubts(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            (
                *("eos_token_id", "suppress_tokens", "bad_words_ids", "chat_template"),
                *("eos_token", "added_tokens_decoder", "image_token_id", "text_config"),
            )
        ),
        JSON,
    )
)
def test_any_json_is_read(tmp_path_factory, keys):
    """Whatever stands under a key, nothing is raised."""
    folder = tmp_path_factory.getbasetemp() / "any-json"
    if not folder.exists():
        shutil.copytree(canaries() / "smolvlm", folder, ignore=shutil.ignore_patterns("*gguf*"))
    target = find(str(folder))
    model, _ = described(find(str(canaries() / "smolvlm")))
    (folder / "generation_config.json").write_text(json.dumps(keys))
    (folder / "tokenizer_config.json").write_text(json.dumps(keys))
    assert all(isinstance(doubt, str) for doubt in contradictions(target, model))
