"""The Python half of a reproduction script, on the library of the scripted backend."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from qualification.upgrade.bisect import ask

TURNS = [
    {"parts": [["text", "before"], ["image", "AAAA"], ["text", "which?"]], "expected": "red"},
    {"parts": [["text", "how many?"]], "expected": "2"},
]


def facts(**changes):
    """The facts of a script of the scripted backend."""
    return {"backend": "fake", "options": {"library": "fakelib"}, "turns": TURNS, **changes}


def test_it_runs_alone_and_prints_an_answer_for_each_turn(tmp_path):
    """A copy of the file, in a folder with nothing else but the library, without this project."""
    (tmp_path / "ask.py").write_text(Path(ask.__file__).read_text())
    (tmp_path / "facts.json").write_text(json.dumps(facts()))
    (tmp_path / "fakelib.py").write_text("def answer(question): return question.upper()\n")
    # Neither this project nor any package can be imported: -I and -S leave the folder alone.
    program = (
        "import runpy, sys; sys.path.insert(0, '.'); runpy.run_path('ask.py', None, '__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, "", "facts.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [
        "before which?  expected 'red', got 'BEFORE WHICH?'",
        "how many?  expected '2', got 'HOW MANY?'",
    ]


def test_an_image_has_the_same_file_name_in_every_run(tmp_path, monkeypatch):
    """Two processes that are compared must ask the very same question."""
    monkeypatch.chdir(tmp_path)
    image = base64.b64encode(b"a PNG").decode()
    turn = {"parts": [["image", image], ["text", "which?"]]}
    (file,) = ask._image_files(turn)
    assert file.read_bytes() == b"a PNG"
    assert ask._image_files(turn) == [file]
    assert file.name == "f0a92ace12e4826b.png"


@pytest.mark.parametrize("backend", ["server", "unheard-of"])
def test_a_backend_without_a_library_cannot_be_asked(backend):
    """So no script is written for it."""
    assert backend not in ask.ASKERS
