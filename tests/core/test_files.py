"""Files are there in whole or not at all, whatever happens while they are written."""

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qualification.core.files import write_documents, write_whole


def test_a_file_is_written_into_a_folder_that_is_made(tmp_path):
    """In UTF-8, readable by all."""
    file = tmp_path / "reports" / "latest" / "report.md"
    write_whole(file, "Größe: 3 × 4\n")
    assert file.read_bytes().decode("utf-8") == "Größe: 3 × 4\n"
    assert file.stat().st_mode & 0o777 == 0o644


@given(st.text(st.characters(codec="utf-8"), max_size=100))
def test_the_text_is_written_unchanged(tmp_path_factory, text):
    """Line breaks are not translated."""
    file = tmp_path_factory.mktemp("files") / "file"
    write_whole(file, text)
    assert file.read_bytes() == text.encode("utf-8")


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_no_draft(tmp_path):
    """A lone surrogate at the end of a long text."""
    file = tmp_path / "file"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "x" * 1_000_000 + "\ud800")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_target_that_cannot_be_replaced_is_an_error_and_leaves_no_draft(tmp_path):
    """A folder under the file's name."""
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_whole(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == ["file"]


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file(tmp_path):
    """SIGKILL between the draft and its new name."""
    file = tmp_path / "file"
    write_whole(file, "old")
    script = (
        "import os, pathlib, signal, sys\n"
        "from qualification.core import files\n"
        "files.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_whole(pathlib.Path(sys.argv[1]), 'new' * 100_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_text() == "old"


def test_a_durable_file_is_flushed_before_its_rename_and_its_folder_after(tmp_path, monkeypatch):
    """Else a power cut could leave an empty file under the new name, or the old name."""
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("flush"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("rename"), replace(*names)))
    write_whole(tmp_path / "file", "text", durable=True)
    assert events == ["flush", "rename", "flush"]
    write_whole(tmp_path / "file", "text")
    assert events[3:] == ["rename"]


def test_documents_are_written_under_their_names_in_their_order(tmp_path):
    """The files are returned, for a command to name them."""
    files = write_documents({"b.md": "B", "a.html": "A"}, tmp_path / "new")
    assert files == [tmp_path / "new/b.md", tmp_path / "new/a.html"]
    assert [file.read_text() for file in files] == ["B", "A"]
