"""Random weights: sane values, files that the formats' own readers take, a cache that is whole."""

import errno
import importlib.util
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import qualification.suites
from qualification.cli import main
from qualification.core.declarations import Deployment, Model, Source
from qualification.core.errors import DiskFull, WeightsUnavailable
from qualification.core.paths import canaries as shipped_canaries
from qualification.models import layouts
from qualification.models.layouts import gguf_files
from qualification.models.layouts.safetensors_files import ITEM_BYTES
from qualification.models.loading import load_registry
from qualification.models.quantisations import BLOCKS
from qualification.models.synthetic import cache, safetensors_file, values
from qualification.models.tensor_headers import TensorInfo
from qualification.models.weights import check_files, load_request

MORE_TOKENS = 600
CANARIES = shipped_canaries()
GGUF = {"model_file": "model.gguf", "mmproj_file": "mmproj-f16.gguf"}
KINDS = [
    ("qwen2_5_vl", "llamacpp", "Q4_K_M"),
    ("smolvlm", "llamacpp", "Q8_0"),
    ("llava_next", "llamacpp", "Q4_0"),
    ("moondream2", "llamacpp", "f16"),
    ("qwen2_vl", "mlx", "4bit"),
    ("phi3_v", "mlx", "8bit"),
    ("moondream2", "mlx", "bf16"),
    ("smolvlm2", "torch", "f32"),
    ("llava_next", "torch", "bf16"),
]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """``tiny(family, backend, quantisation)``: a deployment at a canary's shape, more tokens.

    What else is named replaces figures of the config.
    """
    file = tmp_path / "tiny.json"
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path / "cache"))

    def of(family, backend, quantisation, **changes):
        canary = CANARIES / family
        config = json.loads((canary / "config.json").read_text())
        config |= changes
        for part in (config, config.get("text_config", {})):
            if "vocab_size" in part:
                part["vocab_size"] = MORE_TOKENS
        preprocessor = {"size": {"longest_edge": 112}} if family.startswith("smolvlm") else {}
        declared = {"canary": family, "config.json": config}
        if preprocessor:
            declared["preprocessor_config.json"] = preprocessor
        file.write_text(json.dumps(declared))
        files = GGUF if backend == "llamacpp" else {}
        source = Source(backend, quantisation, weights="synthetic", **files)
        model = Model("tiny", family, 1, "MIT", ("vision",), (source,), config=str(file))
        return Deployment(model, source)

    return of


def _bytes(tensor, **more):
    return b"".join(values.chunks(tensor, **more))


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_0", "Q5_0", "Q4_K", "Q6_K"])
def test_values_of_ggml_types_are_those_of_a_fresh_model(kind):
    """Unpacked by the gguf package: finite, mean 0, deviation 0.02, none far out."""
    count, size = BLOCKS[kind]
    rows, columns = 1000, 2048
    info = TensorInfo("a.weight", (rows, columns), kind, rows * columns // count * size)
    raw = np.frombuffer(_bytes(info), np.uint8).reshape(rows, -1)
    if kind in ("F32", "F16"):
        raw = raw.view(kind.lower().replace("f", "float"))
    unpacked = dequantize(raw, GGMLQuantizationType[kind])
    assert unpacked.shape == (rows, columns)
    assert np.isfinite(unpacked).all()
    assert abs(unpacked.mean()) < 0.003  # four bits of Q4_0 are -8 to 7: half a step aside
    assert 0.018 < unpacked.std() < 0.022
    assert np.abs(unpacked).max() < 0.2
    assert len(np.unique(raw, axis=0)) == rows, "rows are alike"


@pytest.mark.parametrize("bits", [3, 4, 6, 8])
def test_scales_and_biases_of_packed_weights_belong_together(bits):
    """scale * q + bias is about N(0, 0.02) over all q, group by group."""
    shape = (50, 32)
    parts = {
        part: np.frombuffer(
            _bytes(TensorInfo(f"a.{part}", shape, "F32", 4 * 50 * 32), bits=bits), np.float32
        )
        for part in ("scales", "biases")
    }
    q = np.arange(2**bits)
    weights = parts["scales"][:, None] * q + parts["biases"][:, None]
    assert np.abs(weights.mean(axis=1)).max() < 1e-4
    assert 0.018 < weights.std() < 0.022


def test_factors_of_norms_are_about_one():
    """A vector that is called a weight multiplies; its bias and a matrix do not."""
    factor = np.frombuffer(_bytes(TensorInfo("n.weight", (999,), "F32", 3996)), np.float32)
    shift = np.frombuffer(_bytes(TensorInfo("n.bias", (999,), "F32", 3996)), np.float32)
    assert abs(factor.mean() - 1) < 0.01
    assert abs(shift.mean()) < 0.01


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from(sorted(ITEM_BYTES))
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_library_reads_what_was_written(tmp_path_factory, tensors):
    """Any names, shapes and types come back from the safetensors library."""
    file = tmp_path_factory.mktemp("written") / "model.safetensors"
    infos = [
        TensorInfo(f"t.{n}.weight", tuple(shape), kind, int(np.prod(shape)) * ITEM_BYTES[kind])
        for n, (shape, kind) in enumerate(tensors)
    ]
    safetensors_file.write(file, infos)
    with safe_open(file, framework="numpy") as read:
        shapes = {name: tuple(read.get_slice(name).get_shape()) for name in read.keys()}  # noqa: SIM118
    assert shapes == {info.name: info.shape for info in infos}


@pytest.mark.parametrize(("family", "backend", "quantisation"), KINDS)
def test_written_files_are_whole_and_have_the_tensors_of_the_layout(
    tiny, family, backend, quantisation
):
    """They pass the check of weights, and each file has the tensors of its layout."""
    deployment = tiny(family, backend, quantisation)
    folder = cache.ready(deployment)
    check_files(replace(load_request(deployment), path=str(folder)))
    for name, tensors in layouts.contents(deployment).items():
        if backend == "llamacpp":
            written = {
                (t.name, tuple(int(side) for side in reversed(t.shape)), int(t.n_bytes))
                for t in GGUFReader(folder / name).tensors
            }
            assert written == {(tensor.name, tensor.shape, tensor.bytes) for tensor in tensors}
        else:
            with safe_open(folder / name, framework="numpy") as read:
                assert sorted(read.keys()) == sorted(tensor.name for tensor in tensors)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "smolvlm", "llava_next", "moondream2"])
def test_a_gguf_has_every_key_of_the_canarys(tiny, family):
    """All keys that llama.cpp needs are there, and the vocabulary has the declared length."""
    folder = cache.ready(tiny(family, "llamacpp", "f16"))
    canary = CANARIES / family / "gguf"
    written, model = GGUFReader(folder / "model.gguf"), GGUFReader(canary / "model.gguf")
    assert set(written.fields) == set(model.fields)
    tokens = written.fields["tokenizer.ggml.tokens"].contents()
    assert len(tokens) == len(set(tokens)) == MORE_TOKENS
    assert len(written.fields["tokenizer.ggml.token_type"].contents()) == MORE_TOKENS
    mmproj = GGUFReader(folder / "mmproj-f16.gguf")
    assert set(mmproj.fields) == set(GGUFReader(canary / "mmproj.gguf").fields)


@pytest.mark.parametrize("family", ["qwen2_vl", "phi3_v", "llava_next", "moondream2", "smolvlm2"])
def test_every_id_has_a_text_and_the_canarys_keep_theirs(tiny, family):
    """Special tokens have the numbers that the config names; padding decodes to something."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = cache.ready(tiny(family, "mlx", "bf16"))
    for file in folder.rglob("tokenizer.json"):
        longer = tokenizers.Tokenizer.from_file(str(file))
        original = CANARIES / family / file.relative_to(folder)
        canary = tokenizers.Tokenizer.from_file(str(original))
        assert longer.get_vocab_size() == MORE_TOKENS
        assert longer.get_vocab() == longer.get_vocab() | canary.get_vocab()
        assert all(longer.id_to_token(number) for number in range(MORE_TOKENS))
        assert longer.encode("What colour is it?").ids == canary.encode("What colour is it?").ids


@pytest.mark.parametrize("width", [256, 320])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("quantisation", "number"), [("Q4_K_M", 15), ("Q4_0", 2), ("Q8_0", 7)])
def test_types_are_those_that_llama_cpp_chooses(tiny, quantisation, number, tied, width):
    """llama_model_quantize on an unquantised one of 16 layers gives the layout's types."""
    llama_cpp = pytest.importorskip("llama_cpp")
    changes = {
        "num_hidden_layers": 16,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "tie_word_embeddings": tied,
    }
    deployment = tiny("qwen2_5_vl", "llamacpp", "f16", **changes)
    source = cache.ready(deployment) / "model.gguf"
    target = source.with_name("quantised.gguf")
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.nthread = number, 1
    assert llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), options) == 0
    chosen = {tensor.name: tensor.tensor_type.name for tensor in GGUFReader(target).tensors}
    config = layouts.declared(deployment)["config.json"]
    tensors = gguf_files.text_model(config, quantisation)
    assert {tensor.name: tensor.dtype for tensor in tensors} == chosen


def test_the_second_time_nothing_is_made(tiny, monkeypatch):
    """The folder is found, and its manifest describes it."""
    deployment = tiny("smolvlm", "llamacpp", "Q8_0")
    folder = cache.ready(deployment)
    monkeypatch.setattr(cache, "_make", None)
    assert cache.ready(deployment) == folder
    manifest = json.loads((folder / cache.MANIFEST).read_text())
    assert manifest["deployment"] == "tiny-Q8_0-synthetic@llamacpp"
    assert manifest["files"]["model.gguf"] == (folder / "model.gguf").stat().st_size


def test_a_maker_that_fails_leaves_nothing_and_one_that_died_is_tidied_after(tiny, monkeypatch):
    """No half folder is ever found under the name of a whole one."""
    deployment = tiny("smolvlm", "llamacpp", "Q8_0")

    def fail(*_):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(cache, "_make", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            cache.ready(deployment)
    root = Path(cache.cache_folder()) / "synthetic"
    assert [file for file in root.iterdir() if file.is_dir()] == []
    dead = root / f".{cache._name(deployment)}.draft-x"
    dead.mkdir()
    (dead / "model.gguf").write_bytes(b"half")
    cache.ready(deployment)
    assert not dead.exists()


def test_two_builders_at_once_build_once_and_both_get_it(tiny, monkeypatch):
    """The second waits for the lock and finds the first one's work."""
    deployment, builds, folders = tiny("smolvlm", "llamacpp", "Q8_0"), [], []
    original = cache._make

    def slow(*arguments):
        builds.append(1)
        time.sleep(0.2)
        original(*arguments)

    monkeypatch.setattr(cache, "_make", slow)
    both = [
        threading.Thread(target=lambda: folders.append(cache.ready(deployment))) for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(builds) == 1
    assert len(folders) == 2
    assert folders[0] == folders[1]


def test_a_disk_that_is_too_full_is_refused_before_anything_is_written(tiny, monkeypatch):
    """One sentence with both figures and the way out."""
    deployment = tiny("smolvlm", "llamacpp", "Q8_0")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(WeightsUnavailable, match=r"1\.00 KB free.*QUALIFY_CACHE"):
        cache.ready(deployment)
    assert not [file for file in (cache.cache_folder() / "synthetic").iterdir() if file.is_dir()]


def test_a_disk_that_becomes_full_while_weights_are_made_is_named(tiny, monkeypatch):
    """And no draft is left on it."""

    def refuse(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "_make", refuse)
    with pytest.raises(DiskFull, match="synthetic: no space is left on its disk"):
        cache.ready(tiny("smolvlm", "llamacpp", "Q8_0"))
    assert not [file for file in (cache.cache_folder() / "synthetic").iterdir() if file.is_dir()]


def test_weights_that_do_not_fit_into_memory_are_refused_before_anything_is_written(tiny):
    """Not even the cache's folder is made."""
    with pytest.raises(WeightsUnavailable, match="so none were made"):
        cache.ready(tiny("smolvlm", "llamacpp", "Q8_0"), memory_limit=1000)
    assert not cache.cache_folder().exists()


def test_another_layout_is_another_folder(tiny, monkeypatch):
    """The folder of an older release is not used, and is listed as such."""
    deployment = tiny("smolvlm", "llamacpp", "Q8_0")
    old = cache.ready(deployment)
    monkeypatch.setattr(layouts, "VERSION", layouts.VERSION + 1)
    new = cache.ready(deployment)
    current = {entry.folder: entry.current for entry in cache.entries((deployment,))}
    assert current == {old: False, new: True}


def test_the_command_lists_and_removes(tiny):
    """What is removed is gone from the list; an unknown name is one sentence."""
    cache.ready(tiny("smolvlm", "llamacpp", "Q8_0"))
    name = "tiny-Q8_0-synthetic@llamacpp"
    assert name in CliRunner().invoke(main, ["synthetic", "list"]).output
    refused = CliRunner().invoke(main, ["synthetic", "remove", "nothing@mlx"])
    assert (refused.exit_code, name in refused.output) == (2, True)
    assert CliRunner().invoke(main, ["synthetic", "remove", name]).exit_code == 0
    assert name not in CliRunner().invoke(main, ["synthetic", "list"]).output


def test_a_removal_that_is_killed_leaves_no_part_of_a_folder(tiny, monkeypatch):
    """It would be taken for whole weights; what it leaves is removed by the next builder."""
    deployment = tiny("smolvlm", "llamacpp", "Q8_0")
    folder = cache.ready(deployment)
    (entry,) = cache.entries((deployment,))

    def killed(_folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.remove(entry)
    assert cache.entries((deployment,)) == []
    assert cache.ready(deployment) == folder
    assert not list(folder.parent.glob(".*draft*"))


def test_results_of_random_weights_have_names_of_their_own():
    """No identifier of a synthetic deployment is one of a real one."""
    registry = load_registry()
    random = registry.with_weights("synthetic").deployments()
    assert random
    assert all("-synthetic@" in deployment.identifier for deployment in random)
    declared = {deployment.identifier for deployment in registry.deployments()}
    assert not declared & {deployment.identifier for deployment in random}
    canaries = registry.with_weights("canary").deployments()
    assert {deployment.source.weights for deployment in canaries} == {"canary"}


# Not importorskip: pytester forgets what a test imports, and torch dies of a second import.
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_suites_that_need_correct_answers_are_skipped_with_the_reason(toy_project, monkeypatch):
    """--weights synthetic: quality is not asked, load is tried."""
    monkeypatch.setenv("QUALIFY_CACHE", str(toy_project.path / "cache"))
    suites = Path(qualification.suites.__file__).parent
    result = toy_project.run(
        *("--weights", "synthetic", suites / "test_quality.py", suites / "test_load.py"),
        suite="",
        backend="torch",
        weights="hub",
        repository="toy/toy",
    )
    result.stdout.fnmatch_lines(["SKIPPED*random weights cannot answer*"])
    assert "no configs/toy.json" in result.stdout.str()
