"""A file that several processes change has the changes of all."""

import subprocess
import sys

import pytest

from qualification.core.files import change_file

CODE = """
import sys
from pathlib import Path
from qualification.core.files import change_file
file = Path(sys.argv[1])
for _ in range(20):
    change_file(file, lambda: str(int(file.read_text()) + 1 if file.exists() else 1))
"""


def test_no_change_of_a_process_is_lost(tmp_path):
    """Nor does the lock remain."""
    file = tmp_path / "folder" / "count"
    command = [sys.executable, "-c", CODE, str(file)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert file.read_text() == "80"
    assert list(file.parent.iterdir()) == [file]


def test_a_change_that_is_refused_leaves_the_file_and_no_lock(tmp_path):
    """The refusal is what the caller sees."""
    file = tmp_path / "file"
    file.write_text("before")

    def refused():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        change_file(file, refused)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_is_removed_with_its_lock_held(tmp_path):
    """Where there is no content."""
    (tmp_path / "file").write_text("before")
    change_file(tmp_path / "file", lambda: None)
    assert list(tmp_path.iterdir()) == []
