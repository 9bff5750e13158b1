"""The text for an issue: releases, requests, images, and a script that shows it without us."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.see.planted import LLAMA_CPP, TORCH, asked
from benchmarks.see.stand_ins import MODEL, Behaviour, serving
from qualification.core.paths import canaries
from qualification.models.loading import load_registry
from qualification.see import issue
from qualification.see.series import Look, requests_of

ROOT = Path(__file__).resolve().parents[2]
ENGINES = {
    "": (LLAMA_CPP, "xllamacpp"),
    "torch": (TORCH, "torch"),
    "mlx": ("smolvlm-canary-f32@mlx", "mlx_vlm"),
    "llamacpp": ("smolvlm-canary-f32@llamacpp", "llama_cpp"),
}


_RUN = (
    "-c",
    "import runpy, sys; sys.argv.pop(0);"
    "from qualification.backends.shims.torchvision import install_if_needed;"
    "install_if_needed();"
    "runpy.run_path(sys.argv[0], run_name='__main__')",
)
"""Runs a script; where the registry's torchvision does not load, its operators are declared."""


def words_of(engine, loaded):
    """The command line of an engine's script."""
    folder = canaries() / "smolvlm"
    if engine == "llamacpp":
        return [folder / "gguf/model.gguf", folder / "gguf/mmproj.gguf"]
    return [loaded.load_report.address] if not engine else [folder]


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine", ["", "llamacpp", *(pytest.param(e, marks=pytest.mark.long) for e in ("torch", "mlx"))]
)
def test_the_script_of_an_issue_shows_it_without_us(tmp_path, engine, loaded_deployment):
    """The library alone: the same answers as ours, in about thirty lines."""
    deployment, library = ENGINES[engine]
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    loaded = loaded_deployment(deployment)
    series = ("colours", "pairs", "recall", "tools" if not engine else "shapes")
    requests = [requests_of(name, 3, is_canary=True)[0] for name in series]
    looks = [Look(request, "", correct=False) for request in requests]
    file = tmp_path / "shows_it.py"
    file.write_text(issue.script(issue.cases_of(loaded, looks, tmp_path), engine))
    reply = subprocess.run(
        [sys.executable, *_RUN, file, *words_of(engine, loaded)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert reply.returncode == 0, reply.stderr[-2000:]
    lines = [line for line in reply.stdout.splitlines() if line.startswith("expected ")]
    for line, request in zip(lines, requests, strict=True):
        assert line.count(request.question.answer) == 2, line
    assert len(file.read_text().splitlines()) <= 36


@pytest.fixture
def loaded_deployment(tmp_path):
    """A function that loads a deployment until the test ends."""
    from contextlib import ExitStack

    from benchmarks.see import planted

    with ExitStack() as stack:

        def load(identifier):
            deployment = load_registry().deployment(identifier)
            return stack.enter_context(planted.loaded(deployment, tmp_path))

        yield load


def test_a_text_for_an_issue_can_be_pasted(tmp_path):
    """A table that an answer cannot break, the request, one image inline, the script."""
    from benchmarks.see import planted
    from qualification.machine.probe import probe
    from qualification.see.run import see

    with serving(Behaviour("ollama", cuts=True)) as address:
        deployment = planted.behind(address, planted.OLLAMA, MODEL)
        with planted.loaded(deployment, tmp_path) as loaded:
            sight = see(loaded, tmp_path, seed=1, deadline_s=60)
            cases = issue.cases_of(loaded, sight.conclusion.verdict.evidence, tmp_path)
            registry = load_registry()
            machine = probe(registry.chips, registry.tiers)
            text = issue.markdown("it", sight, loaded.load_report, machine, cases, "")
    assert text.startswith("## it: context cut: of a prompt of ")
    assert "ollama 0.14.1" in text
    assert "```json" in text
    assert "```python" in text
    assert all(line.count("|") == 4 for line in text.splitlines() if line.startswith("| "))


def test_a_hostile_answer_stays_in_its_cell():
    """Pipes, line ends and backticks."""
    (request, *_) = requests_of("colours", 1, is_canary=False)
    look = Look(request, "a|b\n```\n<script>", correct=False)
    body = {"model": 'x"""; import os', "messages": []}
    case = issue.Case(look, body)
    script = issue.script([case], "")
    namespace = script.split('json.loads(r"""')[1].split('""")')[0]
    assert json.loads(namespace)[0][0] == body
    assert compile(script, "x", "exec")
    assert "\n" not in issue.answer_cell(look)
    assert "`a|b '''" in issue.answer_cell(look)


@pytest.mark.slow
def test_a_run_in_a_process_is_shown_with_its_engine(tmp_path):
    """A wrong answer of torch comes with a script for transformers."""
    with asked(load_registry().deployment(TORCH), tmp_path) as run:
        sight = run(1)
    assert {finding.series for finding in sight.conclusion.known_findings} <= {
        "transparency",
        "16 bits",
    }
