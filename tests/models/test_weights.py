"""Damaged weights are one clear error before any library sees them."""

import json
import shutil
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import WeightsError, WeightsUnavailable
from qualification.core.paths import canaries
from qualification.core.protocol import LoadRequest
from qualification.models.loading import load_registry
from qualification.models.tensor_headers import read_file
from qualification.models.weights import (
    check_files,
    check_manifest,
    decode_bytes_here,
    load_request,
    tensors_here,
)

CANARIES = canaries()
SAFETENSORS = CANARIES / "smolvlm/model.safetensors"
GGUF = CANARIES / "smolvlm/gguf/model.gguf"
MMPROJ = CANARIES / "smolvlm/gguf/mmproj.gguf"


@pytest.mark.parametrize("file", [SAFETENSORS, GGUF, MMPROJ])
def test_whole_files_pass(file):
    """The canaries as they are committed are whole."""
    read_file(file)


@pytest.mark.parametrize("file", [SAFETENSORS, GGUF, MMPROJ])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.9, 0.999])
def test_truncated_files_are_refused_by_name(file, share, tmp_path):
    """Wherever a file is cut, one error names it."""
    short = tmp_path / file.name
    data = file.read_bytes()
    short.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match="damaged or truncated") as caught:
        read_file(short)
    assert str(short) in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_a_lying_safetensors_header_is_refused(length, tmp_path):
    """A header that claims an absurd length allocates nothing and is refused."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(WeightsError, match="damaged or truncated"):
        read_file(file)


@given(noise=st.binary(max_size=200), suffix=st.sampled_from([".gguf", ".safetensors"]))
@settings(max_examples=60, deadline=None)
def test_noise_is_never_taken_for_weights(noise, suffix, tmp_path_factory):
    """Any short file of noise is a WeightsError and nothing else."""
    file = tmp_path_factory.mktemp("noise") / f"model{suffix}"
    file.write_bytes(noise)
    with pytest.raises(WeightsError):
        read_file(file)


@pytest.mark.parametrize(
    ("weights", "error"), [("canary", WeightsError), ("hub", WeightsUnavailable)]
)
@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"path": "absent"}, "absent: no such folder"),
        ({"path": "."}, r"holds no \.safetensors"),
        ({"path": ".", "model_file": "m.gguf"}, r"m\.gguf: no such file"),
        ({"path": ".", "model_file": "here.gguf", "mmproj_file": "p.gguf"}, r"p\.gguf: no such"),
    ],
)
def test_weights_that_are_not_there_are_the_machines_fault_unless_they_ship(
    weights, error, files, problem, tmp_path
):
    """So that a model is not judged by a path that is wrong; a canary is part of the product."""
    shutil.copy(GGUF, tmp_path / "here.gguf")
    path = str(tmp_path / files["path"])
    with pytest.raises(error, match=problem):
        check_files(LoadRequest("mlx", weights, "smolvlm", **(files | {"path": path})))


def test_a_damaged_file_of_ones_own_is_a_failure(tmp_path):
    """A cut file, and a shard that the index names and that is missing."""
    (tmp_path / "m.gguf").write_bytes(GGUF.read_bytes()[:-40])
    with pytest.raises(WeightsError, match="damaged or truncated"):
        check_files(LoadRequest("llamacpp", "hub", "x", path=str(tmp_path), model_file="m.gguf"))
    shutil.copy(SAFETENSORS, tmp_path / "a.safetensors")
    index = {"weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="names this shard"):
        check_files(LoadRequest("mlx", "hub", "x", path=str(tmp_path)))


def own(path, **files):
    """The deployment of a local copy of weights."""
    deployment = load_registry().deployment("smolvlm-500m-Q8_0@llamacpp")
    source = replace(deployment.source, path=str(path), mmproj_file="", **files)
    return replace(deployment, source=source)


def test_a_text_model_has_no_projector_and_one_may_lie_elsewhere(tmp_path):
    """Its tensors are listed without one, or with that of another folder."""
    shutil.copy(GGUF, tmp_path / "m.gguf")
    alone = own(tmp_path, model_file="m.gguf")
    check_files(load_request(alone))
    assert tensors_here(alone) == read_file(GGUF)
    both = replace(alone, source=replace(alone.source, mmproj_file=str(MMPROJ)))
    check_files(load_request(both))
    assert tensors_here(both) == read_file(GGUF) + read_file(MMPROJ)
    gone = replace(alone, source=replace(alone.source, mmproj_file="p.gguf"))
    assert tensors_here(gone) == ()


def test_what_decoding_reads_is_that_of_the_files_that_were_loaded(tmp_path):
    """Nothing of a canary, and nothing where the file is of a format that is not known."""
    shutil.copy(GGUF, tmp_path / "m.gguf")
    deployment = own(tmp_path / "elsewhere", model_file="m.gguf")
    request = replace(load_request(deployment), path=str(tmp_path))
    read = decode_bytes_here(deployment, request)
    assert 0 < read < sum(tensor.bytes for tensor in read_file(GGUF))
    canary = replace(deployment, source=replace(deployment.source, weights="canary"))
    assert decode_bytes_here(canary, request) == 0
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert decode_bytes_here(deployment, request) == 0


def test_a_changed_canary_is_refused(tmp_path):
    """A canary whose bytes differ from the manifest is not what was trained."""
    copy = tmp_path / "canaries"
    shutil.copytree(CANARIES, copy)
    check_manifest(copy, copy / "smolvlm")
    file = copy / "smolvlm/model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(WeightsError, match=r"model\.safetensors: differs from the manifest"):
        check_manifest(copy, copy / "smolvlm")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"canaries": {"smolvlm": {"files": 1}}}'])
def test_a_malformed_manifest_is_one_error(text, tmp_path):
    """The manifest is named."""
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "smolvlm").mkdir()
    with pytest.raises(WeightsError, match=r"manifest\.json"):
        check_manifest(tmp_path, tmp_path / "smolvlm")


def test_a_missing_file_is_reported_with_what_brings_it_back(monkeypatch):
    """By a command that is there: git in a checkout, pip for an installed package."""
    shipped = LoadRequest("mlx", "canary", "smolvlm", path=str(CANARIES / "nowhere"))
    with pytest.raises(WeightsError, match="restore it with: git checkout"):
        check_files(shipped)
    monkeypatch.setattr("qualification.core.paths.is_checkout", lambda: False)
    monkeypatch.setattr("qualification.core.paths.canaries", lambda: CANARIES)
    with pytest.raises(WeightsError, match="restore it with: pip install"):
        check_files(shipped)


def test_a_declaration_that_moves_the_hubs_cache_is_followed(tmp_path, monkeypatch):
    """The worker gets its environment, so the prediction looks in the same folder."""
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    deployment = load_registry().deployment("smolvlm2-500m-video-bf16@mlx")
    environment = {"HF_HUB_CACHE": str(tmp_path)}
    source = replace(deployment.source, repository="owner/name", environment=environment)
    snapshot = tmp_path / f"models--owner--name/snapshots/{source.revision}"
    snapshot.mkdir(parents=True)
    shutil.copy(SAFETENSORS, snapshot)
    assert tensors_here(replace(deployment, source=source)) == read_file(SAFETENSORS)


@pytest.mark.parametrize("revision", ["main", "0123abcd"])
@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HF_HOME", "hub"),
        ("HF_HUB_CACHE", "."),
        ("HUGGINGFACE_HUB_CACHE", "."),
    ],
)
def test_downloaded_weights_are_found_where_the_hub_keeps_them(
    variable, folder, revision, tmp_path, monkeypatch
):
    """Wherever its variables put the cache, and by branch or by commit."""
    for name in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    deployment = load_registry().deployment("smolvlm2-500m-video-bf16@mlx")
    source = replace(deployment.source, repository="owner/name", revision=revision)
    deployment = replace(deployment, source=source)
    assert tensors_here(deployment) == ()
    repository = tmp_path / folder / "models--owner--name"
    snapshot = repository / "snapshots/0123abcd"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0123abcd")
    shutil.copy(SAFETENSORS, snapshot)
    assert tensors_here(deployment) == read_file(SAFETENSORS)
