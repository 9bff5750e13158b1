"""The server of the wheel xllamacpp: its parameters in every release, and one that really runs."""

import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from qualification.core.paths import canaries
from qualification.servers import llama_cpp
from qualification.servers.ports import free_port

SCRIPT = llama_cpp.__file__
FOLDER = canaries() / "smolvlm/gguf"
WORDS = ["--model", "m.gguf", "--alias", "x", "--port", "1", "--threads", "3"]


def library(tmp_path, **attributes):
    """A release of the library whose parameters have those names."""

    def parameters():
        return SimpleNamespace(
            model=SimpleNamespace(path=""),
            mmproj=SimpleNamespace(path=""),
            cpuparams=SimpleNamespace(n_threads=-1),
            cpuparams_batch=SimpleNamespace(n_threads=-1),
            n_gpu_layers=-1,
            **attributes,
        )

    return SimpleNamespace(CommonParams=parameters, __file__=str(tmp_path / "__init__.py"))


@pytest.mark.parametrize(
    ("attributes", "host", "alias"),
    [
        ({"hostname": "", "model_alias": ""}, ("hostname", "127.0.0.1"), "x"),
        ({"hostname": "", "model_alias": set()}, ("hostname", "127.0.0.1"), {"x"}),
        ({"hostnames": [], "model_alias": set()}, ("hostnames", ["127.0.0.1"]), {"x"}),
    ],
)
def test_each_release_is_given_the_parameters_that_it_knows(tmp_path, attributes, host, alias):
    """Up to 0.2.13, until 2026.9, and from 2026.10 on."""
    words = llama_cpp._options().parse_args(WORDS)
    parameters = llama_cpp._parameters(library(tmp_path, **attributes), words)
    assert getattr(parameters, host[0]) == host[1]
    assert parameters.model_alias == alias
    assert (parameters.model.path, parameters.port) == ("m.gguf", 1)
    assert parameters.cpuparams.n_threads == 3
    assert parameters.cpuparams_batch.n_threads == -1  # the library's own default
    assert parameters.n_gpu_layers == -1


@contextmanager
def served(port, folder=FOLDER):
    """The script as a process, which does not outlive the test."""
    words = ["--model", folder / "model.gguf", "--mmproj", folder / "mmproj.gguf"]
    words += ["--alias", "canary", "--port", port, "--ctx-size", 512, "--threads", 1]
    with subprocess.Popen(
        [sys.executable, "-I", SCRIPT, *map(str, words)], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_serves_until_a_signal_and_leaves_in_good_order():
    """On loopback, at the port it is given, under the name it is given."""
    pytest.importorskip("xllamacpp")
    port = free_port()
    with served(port) as process:
        for line in process.stderr:
            if line.startswith("listening on"):
                break
        assert process.poll() is None
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=30) as reply:
            models = json.loads(reply.read())["data"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert [model["id"] for model in models] == ["canary"]
    assert process.returncode == 0


def test_a_signal_just_before_the_wait_is_not_slept_through():
    """It came after Python had looked for signals and before the process paused, and was lost."""
    pytest.importorskip("xllamacpp")
    words = ["--model", FOLDER / "model.gguf", "--port", free_port(), "--ctx-size", 64]
    code = (
        "import os, runpy, signal, sys\n"
        "wait = signal.sigwait\n"
        "signal.sigwait = lambda signals: (os.kill(os.getpid(), signal.SIGTERM), wait(signals))\n"
        f"sys.argv[1:] = {list(map(str, words))}\n"
        f"runpy.run_path({SCRIPT!r}, run_name='__main__')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert ended.returncode == 0


def test_a_model_that_cannot_be_loaded_is_one_sentence_and_exit_1(tmp_path):
    """The library's own log has a thread of its own: its lines come before it or after it."""
    pytest.importorskip("xllamacpp")
    (tmp_path / "model.gguf").write_bytes(b"no model")
    with served(free_port(), Path(tmp_path)) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"\nllama.cpp cannot serve {tmp_path}/model.gguf" in f"\n{err}"
