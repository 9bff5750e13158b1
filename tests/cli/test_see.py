"""``qualify see``: a verdict in one sentence, exit codes, ``--json``, ``--before``."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

import pytest
from click.testing import CliRunner

from benchmarks.see.proxy import planted
from benchmarks.see.stand_ins import MODEL, Behaviour, serving
from qualification.cli import main
from qualification.core.paths import canaries
from qualification.servers.client import KEY

CANARY = "smolvlm-canary-f32@llama.cpp"
needs_llama_cpp = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="not installed")


def qualify(*words):
    """The command in this process."""
    return CliRunner().invoke(main, ["see", *map(str, words)])


@pytest.mark.slow
@needs_llama_cpp
def test_a_canary_sees(tmp_path):
    """By its name, on one screen; known bugs of the server are told and decide nothing."""
    file = tmp_path / "issue.md"
    result = qualify(CANARY, "--seed", 1, "--markdown", file)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{CANARY} sees: 22 of 22 answers are correct\n")
    text = " ".join(result.output.split())
    assert "known: rotated: a photo is not turned as its EXIF says (0 of 3 answers" in text
    assert "(llama.cpp-exif; workaround: " in text
    assert "known: wrong colours: what is transparent is seen" in text
    assert "colours 6/6, shapes 6/6, words 2/2, pairs 2/2, recall 2/2" in text
    assert "a finding about a sound deployment: at most one in " in text
    assert len(result.output.splitlines()) <= 24
    assert max(map(len, result.output.splitlines())) < 80
    assert file.read_text().startswith(f"## {CANARY}: sees: ")


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
    assert record["revision"]
    # A canary knows only its own prompts and pictures, and is not known to be one here.
    assert record["verdict"] in ("sees", "cannot tell", "low resolution")
    (tmp_path / "mmproj-tiny.gguf").unlink()
    result = qualify(tmp_path / "model-tiny.gguf")
    assert result.exit_code == 2
    assert "text alone" in result.output


def test_what_cannot_be_loaded_is_not_blind(tmp_path):
    """No server there: exit code 3, and its reason."""
    result = qualify("http://127.0.0.1:1/v1")
    assert result.exit_code == 3
    assert result.output.startswith("cannot tell: model-as-served@127.0.0.1:1: ")
    assert qualify("no such model").exit_code == 2
    assert qualify("smolvlm-canary-f32@nowhere").exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize("api", ["ollama", "lm-studio"])
def test_a_server_of_many_models_is_asked_for_the_loaded_one(api):
    """Ollama's and LM Studio's documented APIs; the context that is in force is read back."""
    behaviour = Behaviour(api, thinks=3)
    with serving(behaviour) as address:
        result = qualify(address, "--seed", 2)
    assert result.exit_code == 0, result.output
    place = address.removeprefix("http://")
    assert result.output.startswith(f"seer-vl-8b-as-served@{place} sees: 38 of 38 answers")
    assert "room for 4,096 tokens is in force" in result.output
    assert "not tried: long prompt: " in result.output
    assert {body["model"] for body in behaviour.bodies} == {MODEL}


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "fields"), [("default", 0), ("off", 1), ("on", 1)])
def test_thinking_is_switched(mode, fields):
    """Without an answer in its limit a model is no blind one; told not to think, it sees."""
    behaviour = Behaviour("lm-studio", thinks=400)
    with serving(behaviour) as address:
        result = qualify(address, "--seed", 2, "--thinking", mode)
    assert result.exit_code == (0 if mode == "off" else 1)
    if mode != "off":
        assert "thinking eats the answer: 6 of 6 end within the thought" in " ".join(
            result.output.split()
        )
    sent = [body.get("chat_template_kwargs") for body in behaviour.bodies[1:]]
    assert sent == [{"enable_thinking": mode == "on"} if fields else None] * len(sent)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["", "/v1", "/api", "/"])
def test_an_address_is_taken_as_it_is_given(end):
    """With the path of either API, or without."""
    with serving(Behaviour("ollama")) as address:
        result = qualify(address + end, "--seed", 2, "--server-model", MODEL)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_a_key_is_sent_after_the_server_is_known_and_asks_for_it(monkeypatch):
    """The routes that identify it, and the first list of models, come without a key."""
    monkeypatch.setenv(KEY, "secret")
    open_one = Behaviour("ollama")
    with serving(open_one) as address:
        assert qualify(address, "--seed", 2).exit_code == 0
    assert "secret" not in {key for _, key in open_one.seen_keys}
    locked = Behaviour("lm-studio", key="secret")
    with serving(locked) as address:
        assert qualify(address, "--seed", 2).exit_code == 0
    place = [key for _, key in locked.seen_keys].index("secret")
    before = {path for path, _ in locked.seen_keys[:place]}
    assert {"/props", "/api/v0/models", "/v1/models"} <= before


@pytest.mark.slow
def test_a_server_that_loads_and_refuses_is_waited_for_and_told():
    """503 at first, and two optional fields that it does not know."""
    behaviour = Behaviour("ollama", loading=2, refuses=("seed",))
    with serving(behaviour) as address:
        result = qualify(address, "--seed", 2, "--json")
    assert result.exit_code == 0, result.output
    assert not any("seed" in body for body in behaviour.bodies)


@pytest.mark.slow
def test_a_finding_ends_with_one_and_can_be_seen_again(tmp_path):
    """Exit code 1, the answers that show it, and the command for the same images."""
    with serving(Behaviour("ollama")) as upstream, planted("alpha ignored", upstream) as address:
        result = qualify(address, "--seed", 7)
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert " wrong colours: what is transparent is seen (0 of 5 answers" in text
    assert (
        result.output.splitlines()[-1] == f"the same images again: qualify see --seed 7 {address}"
    )


@pytest.mark.slow
@needs_llama_cpp
def test_two_environments_are_compared():
    """The same images in both; nothing has changed between an interpreter and itself."""
    result = qualify(CANARY, "--seed", 1, "--before", sys.executable)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "before: the same verdict and the same answers"
    result = qualify("http://127.0.0.1:1/v1", "--before", sys.executable)
    assert result.exit_code == 2
    assert "in no environment of ours" in result.output
    assert qualify(CANARY, "--before", "no-such-environment").exit_code == 2


@pytest.mark.slow
def test_what_a_slow_server_has_answered_counts():
    """At the deadline the rest is not tried; too little of it tells nothing."""
    with serving(Behaviour("ollama", token_s=1, quick=30)) as address:
        result = qualify(address, "--seed", 2, "--deadline", 6)
        assert result.exit_code == 0, result.output
        assert "not complete after 6 s and " in " ".join(result.output.split())
    with serving(Behaviour("ollama", token_s=1, quick=3)) as address:
        result = qualify(address, "--seed", 2, "--deadline", 6)
    assert result.exit_code == 3
    assert "cannot tell: not complete after 6 s and " in result.output
