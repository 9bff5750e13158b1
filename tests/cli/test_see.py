"""``qualify see``: a verdict in one sentence, exit codes, a text for an issue and its script."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

from qualification.cli import main
from qualification.core.paths import canaries
from qualification.core.protocol import GenerateRequest, Message, Part
from qualification.models.loading import load_registry
from qualification.models.weights import load_request
from qualification.see import report
from qualification.see.series import questions_of
from qualification.session.worker import Worker

CANARY = "smolvlm-canary-f32@llama.cpp"
needs_llama_cpp = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="not installed")


def qualify(*words):
    """The command in this process."""
    return CliRunner().invoke(main, ["see", *map(str, words)])


@pytest.mark.slow
@needs_llama_cpp
def test_a_canary_sees(tmp_path):
    """By its name: every series it is declared for, and the text for an issue."""
    file = tmp_path / "issue.md"
    result = qualify(CANARY, "--seed", 1, "--markdown", file)
    assert result.exit_code == 0, result.output
    verdict, *series, count, error = result.output.splitlines()
    assert verdict == f"{CANARY} sees: 28 of 28 answers are correct"
    assert [line.split("  ")[1] for line in series] == [
        *("colours", "shapes", "file name", "words", "pairs", "recall")
    ]
    assert count.startswith("28 requests in ")
    assert "a finding about a sound deployment: at most one in " in error
    text = file.read_text()
    assert text.startswith(f"## {CANARY}: sees: ")
    assert "xllamacpp" in text
    assert "```python" in text


@pytest.mark.slow
@needs_llama_cpp
def test_a_file_of_ones_own_is_asked_as_json(tmp_path):
    """Undeclared, without its projector: text alone is refused in a sentence, exit code 2."""
    for name in ("model", "mmproj"):
        (tmp_path / f"{name}-tiny.gguf").symlink_to(canaries() / f"smolvlm/gguf/{name}.gguf")
    result = qualify(tmp_path / "model-tiny.gguf", "--json", "--seed", 1)
    record = json.loads(result.stdout)
    assert record["requests"] <= 60
    assert record["looks"][0]["series"] == "colours"
    assert record["verdict"] in ("sees", "cannot tell")  # a canary knows only its own prompts
    (tmp_path / "mmproj-tiny.gguf").unlink()
    result = qualify(tmp_path / "model-tiny.gguf")
    assert result.exit_code == 2
    assert "text alone" in result.output


def test_what_cannot_be_loaded_is_not_blind(tmp_path):
    """No server there: exit code 3, and its reason."""
    result = qualify("http://127.0.0.1:1/v1")
    assert result.exit_code == 3
    assert result.output.startswith("cannot tell: model-as-served@url: ")
    assert qualify("no such model").exit_code == 2
    assert qualify("smolvlm-canary-f32@nowhere").exit_code == 2


@pytest.mark.slow
@needs_llama_cpp
@pytest.mark.parametrize("series", ["colours", "pairs", "recall"])
def test_the_script_of_an_issue_shows_it_without_us(tmp_path, series):
    """The standard library alone; the same answer as ours."""
    question = questions_of(series, 3)[0]
    deployment = load_registry().deployment(CANARY)
    with Worker() as worker:
        loaded = worker.load(load_request(deployment), deadline_s=120)
        turn = GenerateRequest((Message("user", (Part("text", "Hello"),)),), max_tokens=1)
        worker.generate(turn, deadline_s=60)
        file = tmp_path / "shows_it.py"
        file.write_text(report.script(question, loaded.served_as))
        reply = subprocess.run(
            [sys.executable, "-I", file, loaded.address],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert reply.stdout.strip() == question.answer
    assert len(file.read_text().splitlines()) <= 30 + len(question.scenes)
