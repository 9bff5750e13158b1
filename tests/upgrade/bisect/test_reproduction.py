"""A search's result as files."""

import os
import subprocess

from qualification.core.paths import canaries
from qualification.models.loading import load_registry
from qualification.upgrade.bisect.reproduction import markdown, script, write
from tests.support.bisect_sample import ToyIndex


def test_a_librarys_text_cannot_act_in_the_report():
    """It stands in a code span without the characters that would end it."""
    index = ToyIndex(lambda versions: versions["mlx"] >= 2)
    text = markdown(index.search({"mlx": "1"}, {"mlx": "4"}))
    assert "\n# heading" not in text
    rows = [line for line in text.splitlines() if line.startswith("| good with")]
    assert rows
    assert all(row.count("|") == 4 and row.count("`") == 2 for row in rows)


def test_a_script_is_written_as_a_program(tmp_path):
    """It can be started as it is; a missing folder is made."""
    files = write({"reproduce.sh": "true\n", "bisect.md": "# x\n"}, tmp_path / "new")
    assert [os.access(file, os.X_OK) for file in files] == [True, False]


def test_a_script_has_no_path_of_this_machine_and_says_where_it_looks(tmp_path):
    """It takes the folder that holds the canaries, and names one that is not there."""
    index = ToyIndex(lambda versions: versions["mlx"] >= 2)
    deployment = load_registry().deployment("smolvlm-canary-f32@mlx")
    text = script(deployment, index.search({"mlx": "1"}, {"mlx": "4"}), ())
    assert str(canaries().parent) not in text
    done = subprocess.run(
        ["bash", "-c", text, "reproduce.sh", "some folder"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "some folder/smolvlm: no such folder; name the one that holds the can" in done.stderr
