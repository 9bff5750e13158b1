"""Damaged weights are one clear error before any library sees them."""

import shutil
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualification.core.errors import WeightsError
from qualification.core.paths import home
from qualification.core.protocol import LoadRequest
from qualification.models.loading import load_registry
from qualification.models.tensor_headers import read_file
from qualification.models.weights import check_file, check_files, check_manifest, tensors_here

CANARIES = home() / "fixtures/canaries"
SAFETENSORS = CANARIES / "smolvlm/model.safetensors"
GGUF = CANARIES / "smolvlm/gguf/model.gguf"
MMPROJ = CANARIES / "smolvlm/gguf/mmproj.gguf"


@pytest.mark.parametrize("file", [SAFETENSORS, GGUF, MMPROJ])
def test_whole_files_pass(file):
    """The canaries as they are committed are whole."""
    check_file(file)


@pytest.mark.parametrize("file", [SAFETENSORS, GGUF, MMPROJ])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.9, 0.999])
def test_truncated_files_are_refused_by_name(file, share, tmp_path):
    """Wherever a file is cut, one error names it."""
    short = tmp_path / file.name
    data = file.read_bytes()
    short.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match="damaged or truncated") as caught:
        check_file(short)
    assert str(short) in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9])
def test_a_lying_safetensors_header_is_refused(length, tmp_path):
    """A header that claims an absurd length allocates nothing and is refused."""
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(WeightsError, match="damaged or truncated"):
        check_file(file)


@given(noise=st.binary(max_size=200), suffix=st.sampled_from([".gguf", ".safetensors"]))
@settings(max_examples=60, deadline=None)
def test_noise_is_never_taken_for_weights(noise, suffix, tmp_path_factory):
    """Any short file of noise is a WeightsError and nothing else."""
    file = tmp_path_factory.mktemp("noise") / f"model{suffix}"
    file.write_bytes(noise)
    with pytest.raises(WeightsError):
        check_file(file)


def test_a_folder_without_weights_is_refused(tmp_path):
    """An empty folder is said to be one."""
    request = LoadRequest("mlx", "canary", "smolvlm", path=str(tmp_path))
    with pytest.raises(WeightsError, match=r"no \.safetensors"):
        check_files(request)
    with pytest.raises(WeightsError, match="no such folder"):
        check_files(LoadRequest("mlx", "canary", "smolvlm", path=str(tmp_path / "absent")))


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
    """The manifest is named, and how to make it again."""
    (tmp_path / "manifest.json").write_text(text)
    (tmp_path / "smolvlm").mkdir()
    with pytest.raises(WeightsError, match=r"manifest\.json"):
        check_manifest(tmp_path, tmp_path / "smolvlm")


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
    assert tensors_here(deployment, tmp_path) == ()
    repository = tmp_path / folder / "models--owner--name"
    snapshot = repository / "snapshots/0123abcd"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0123abcd")
    shutil.copy(SAFETENSORS, snapshot)
    assert tensors_here(deployment, tmp_path) == read_file(SAFETENSORS)
