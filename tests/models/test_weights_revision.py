"""Files on the disk have a revision that changes with them, and little of them is read for it."""

import os
import re
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from qualification.core.paths import canaries
from qualification.core.protocol import LoadRequest
from qualification.models.weights_revision import HEADER_BYTES, WHOLE_BYTES, files_revision


@pytest.fixture
def folder(tmp_path):
    """Large weights, a configuration, and what no loader reads."""
    (tmp_path / "model.safetensors").write_bytes(bytes(WHOLE_BYTES + 1))
    (tmp_path / "config.json").write_text('{"layers": 28}')
    (tmp_path / "README.md").write_text("a model")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def revision(folder, **changes):
    """The revision of a folder's files."""
    request = LoadRequest("mlx", "hub", "qwen2_vl", path=str(folder))
    return files_revision(replace(request, **changes))


def write(file, content, place=0):
    """Overwrite bytes of a file, whose size and time stay."""
    time = file.stat().st_mtime
    with file.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)
    os.utime(file, (time, time))


def test_it_has_twelve_digits_and_is_the_same_wherever_the_files_lie(folder, tmp_path_factory):
    """Neither the folder's name nor a time is part of it."""
    here = revision(folder)
    assert re.fullmatch("[0-9a-f]{12}", here)
    copied = tmp_path_factory.mktemp("elsewhere") / "other"
    shutil.copytree(folder, copied)
    assert revision(copied) == here


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write(folder / "model.safetensors", b"x", HEADER_BYTES - 1),
        lambda folder: write(folder / "config.json", b'{"layers": 32}'),
        lambda folder: (folder / "model.safetensors").write_bytes(bytes(WHOLE_BYTES + 2)),
        lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"),
        lambda folder: (folder / "config.json").rename(folder / "generation_config.json"),
    ],
)
def test_another_file_another_header_or_another_size_is_another_revision(folder, change):
    """Any file that a loader reads."""
    before = revision(folder)
    change(folder)
    assert revision(folder) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "README.md").write_text("another text"),
        lambda folder: (folder / ".cache/lock").write_text(""),
        lambda folder: (folder / "._model.safetensors").write_bytes(b"macOS"),
        lambda folder: write(folder / "model.safetensors", b"x", 2 * HEADER_BYTES),
    ],
)
def test_what_no_loader_reads_does_not_count_nor_a_byte_behind_the_header(folder, change):
    """The last is the price of not reading many gigabytes; the docstring says so."""
    before = revision(folder)
    change(folder)
    assert revision(folder) == before


def test_a_small_weight_file_is_read_to_its_end(folder):
    """A canary, an adapter."""
    (folder / "model.safetensors").write_bytes(bytes(WHOLE_BYTES))
    before = revision(folder)
    write(folder / "model.safetensors", b"x", WHOLE_BYTES - 1)
    assert revision(folder) != before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_two_configurations_have_two_revisions(tmp_path, a, b):
    """Whatever their bytes."""
    assume(a != b)
    (tmp_path / "model.safetensors").write_bytes(b"w")
    revisions = set()
    for content in (a, b, a):
        (tmp_path / "config.json").write_bytes(content)
        revisions.add(revision(tmp_path))
    assert len(revisions) == 2


def test_named_gguf_files_count_with_all_their_parts_and_nothing_else(tmp_path):
    """A projector may lie elsewhere; another model in the folder is another model."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    projector = elsewhere / "mmproj.gguf"
    projector.write_bytes(b"GGUFp")
    parts = [tmp_path / f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        part.write_bytes(b"GGUFm")
    named = {"model_file": parts[0].name, "mmproj_file": str(projector)}
    before = revision(tmp_path, **named)
    (tmp_path / "another.gguf").write_bytes(b"GGUFx")
    assert revision(tmp_path, **named) == before
    for file in (parts[1], projector):
        file.write_bytes(b"GGUFy")
        assert revision(tmp_path, **named) != before
        before = revision(tmp_path, **named)
    parts[1].unlink()
    assert revision(tmp_path, **named) == ""


def test_a_snapshot_of_the_hub_has_its_commit(tmp_path):
    """As if the repository itself were declared."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--owner--name/snapshots" / commit
    snapshot.mkdir(parents=True)
    assert revision(snapshot) == commit


def test_synthetic_weights_have_the_digest_of_their_folder(tmp_path):
    """Their manifest has the time that making them took."""
    folder = tmp_path / "qwen2-vl-2b-4bit@mlx-0123456789ab"
    folder.mkdir()
    assert revision(folder, weights="synthetic") == "0123456789ab"


def test_a_deployment_without_files_has_no_revision(tmp_path):
    """A server's address, the hub, an empty or missing folder."""
    assert revision("") == revision(tmp_path) == revision(tmp_path / "none") == ""


def test_every_canary_has_a_revision_of_its_own():
    """So a canary that is trained again is not compared with what it was."""
    folders = [path.parent for path in canaries().glob("*/model.safetensors")]
    revisions = {revision(folder, weights="canary") for folder in folders}
    assert len(revisions) == len(folders) > 1
