"""Every command and every piece of code that the guide prints runs, on canaries, as it stands."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from qualification.core.declarations import Deployment
from qualification.documents.sections.recipes import recipe as recipes
from qualification.documents.sections.recipes.python import ask_with_openai, load_in_python
from qualification.documents.sections.recipes.recipe import PICTURE, QUESTION, Recipe
from qualification.documents.sections.recipes.shell import ask_with_curl, serve
from qualification.models.loading import load_registry
from qualification.servers import launch, programs
from qualification.servers.ports import free_port
from qualification.tasks.questions import generate
from tests.support.session_sample import session

pytestmark = pytest.mark.slow

_READY_S = 240.0

MENDED = """
import runpy, sys
from pathlib import Path
from qualification.backends.shims.torchvision import install_if_needed
from qualification.backends.mlx import moondream2_canary, phi3_v_canary

folder = Path(sys.argv[2])
if sys.argv[3] == "mlx":
    install_if_needed()
    import mlx_vlm
    phi3_v_canary.resize_if_canary(folder)
    moondream2_canary.resize_if_canary(folder)
elif sys.argv[3] == "torch":
    install_if_needed()
runpy.run_path(sys.argv[1], run_name="__main__")
"""
"""Runs a script where torchvision does not load, or where a canary is smaller than its family."""


@pytest.fixture(scope="module")
def registry():
    """What ships."""
    return load_registry()


@pytest.fixture
def canary_question(tmp_path, monkeypatch):
    """A question that canaries know, its image beside the scripts."""
    monkeypatch.chdir(tmp_path)
    (question,) = generate(8, 1, "heldout", ["colour"])
    question.images()[0].save(tmp_path / PICTURE)
    return question


def recipe_of(deployment):
    """Of a session that did not measure it: on the CPU, and no recorded release."""
    return Recipe(deployment, None, session())


def in_words(code, question):
    """The code with the question that the canary knows."""
    assert code.count(QUESTION) == 1
    return code.replace(QUESTION, question.prompt)


def require(*modules):
    """Skip where a library is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def run_python(code, deployment, tmp_path):
    """What a script prints; it fails where the script does."""
    (tmp_path / "script.py").write_text(code, encoding="utf-8")
    words = [sys.executable, "-c", MENDED, "script.py", deployment.source.path]
    done = subprocess.run(
        [*words, deployment.source.engine],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("identifier", "module"),
    [
        ("smolvlm-canary-f32@mlx", "mlx_vlm"),
        ("phi-3.5-vision-canary-f32@mlx", "mlx_vlm"),
        pytest.param("moondream2-canary-f32@mlx", "mlx_vlm", marks=pytest.mark.long),
        pytest.param("qwen2.5-vl-canary-4bit@mlx", "mlx_vlm", marks=pytest.mark.long),
        ("smolvlm-canary-f32@torch", "transformers"),
        pytest.param("llava-1.6-canary-f32@torch", "transformers", marks=pytest.mark.long),
        ("smolvlm-canary-f32@llamacpp", "llama_cpp"),
        ("qwen2.5-vl-canary-f32@llamacpp", "llama_cpp"),
        ("smolvlm-canary-f32@llama.cpp", "xllamacpp"),
    ],
)
def test_a_canary_loaded_in_python_answers_correctly(
    identifier, module, registry, canary_question, tmp_path, monkeypatch
):
    """The code of each engine, with the canary's own folder in it."""
    require(module)
    monkeypatch.setattr(recipes, "PORT", free_port())
    deployment = registry.deployment(identifier)
    code = load_in_python(recipe_of(deployment))
    assert repr(deployment.source.path) in code
    printed = run_python(in_words(code, canary_question), deployment, tmp_path)
    assert printed.strip().endswith(canary_question.answer)


def test_a_model_of_text_alone_is_loaded_without_a_projector(registry, canary_question, tmp_path):
    """The canary's language model, canary_question for what needs no image."""
    require("llama_cpp")
    canary = registry.deployment("smolvlm-canary-f32@llamacpp")
    model = replace(canary.model, capabilities=("text_only",))
    deployment = Deployment(model, replace(canary.source, mmproj_file=""))
    code = load_in_python(recipe_of(deployment)).replace(QUESTION, "Which digit is six?")
    assert run_python(code, deployment, tmp_path).strip() == "6"


@contextlib.contextmanager
def started(command, health, port, tmp_path):
    """The server of a printed command line, until the block ends.

    ``python -m`` of a foreign module goes through the launcher, which mends torchvision.
    """
    tools = tmp_path / "tools"
    tools.mkdir()
    wrapper = (
        f'#!/bin/sh\ncase "$2" in qualification.*) exec {sys.executable} "$@";; esac\n'
        f'shift\nexec {sys.executable} {launch.__file__} "$@"\n'
    )
    (tools / "python").write_text(wrapper)
    (tools / "python").chmod(0o755)
    if built := programs.llama_server():
        (tools / "llama-server").symlink_to(built)
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            ["bash", "-c", command],
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"},
        )
        try:
            _wait(server, f"http://127.0.0.1:{port}{health}", tmp_path / "log")
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait(server, url, log):
    end = time.monotonic() + _READY_S
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()[-3000:]
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as reply:
            if reply.status == 200:
                return
        time.sleep(0.2)
    pytest.fail(f"{url} did not answer in {_READY_S} s: {log.read_text()[-3000:]}")


@pytest.mark.parametrize(
    ("program", "module"),
    [
        ("llama.cpp", "xllamacpp"),
        ("llama-server", ""),
        ("llama_cpp.server", "llama_cpp"),
        ("mlx_vlm.server", "mlx_vlm"),
        ("transformers-serve", "transformers"),
    ],
)
def test_a_served_canary_answers_curl_and_python(
    program, module, registry, canary_question, tmp_path, monkeypatch
):
    """Files of the hub, by the link that the download makes, and the requests as printed."""
    if program == "llama-server" and programs.llama_server() is None:
        pytest.skip("llama-server is not here")
    require(*filter(None, ["openai", module]))
    if shutil.which("curl") is None:
        pytest.skip("curl is not here")
    port = free_port()
    monkeypatch.setattr(recipes, "PORT", port)
    canary = registry.deployment(f"smolvlm-canary-f32@{program}")
    source = replace(canary.source, weights="hub", path="", repository="owner/canary")
    recipe = recipe_of(Deployment(canary.model, source))
    Path(recipe.folder).symlink_to(canary.source.path)
    assert recipe.program is not None
    with started(serve(recipe), recipe.program.health, port, tmp_path):
        curl = in_words(ask_with_curl(recipe), canary_question)
        answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
        assert f'"{canary_question.answer}' in answer.stdout.replace(" ", ""), answer.stdout
        code = in_words(ask_with_openai(recipe), canary_question)
        assert (
            run_python(code, replace(canary, source=source), tmp_path).strip()
            == canary_question.answer
        )
