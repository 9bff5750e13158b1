"""The programs that serve a model: command lines, request fields, and what is missing."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest

from qualification.core.paths import canaries
from qualification.core.protocol import GenerateRequest, LoadRequest
from qualification.servers import programs
from qualification.servers.programs import LLAMA_SERVERS, PROGRAMS, any_extra, end_tokens

CANARY = canaries() / "smolvlm"
FOLDER = Path("/weights/some-model")
NAMES = pytest.mark.parametrize("name", PROGRAMS)


def load_request(name, **fields):
    """A request to load GGUF files, or a folder of the hub's layout, with that program."""
    files = {"model_file": "m.gguf", "mmproj_file": "p.gguf"}
    return LoadRequest("server", "hub", "some", server=name, **(files | fields))


def option(words, name):
    """The word that follows an option."""
    return words[words.index(name) + 1]


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A PATH and a cache of tools that are empty; returns the first folder of the PATH."""
    monkeypatch.setenv("QUALIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    programs.llama_server_version.cache_clear()
    yield tmp_path
    programs.llama_server_version.cache_clear()


def program_in(folder, output=""):
    """An executable llama-server that prints ``output`` to standard error."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "llama-server"
    file.write_text(f"#!/bin/sh\nprintf '{output}' >&2\n")
    file.chmod(0o755)
    return file


@NAMES
def test_a_program_listens_on_loopback_at_the_port_that_it_is_given(name):
    """Nothing outside this machine can reach it."""
    words = PROGRAMS[name].command(load_request(name), FOLDER, "/some/python")
    assert option(words, "--host") == "127.0.0.1"
    assert option(words, "--port") == "{port}"


@pytest.mark.parametrize("name", ["llama_cpp.server", "mlx_vlm.server", "transformers-serve"])
def test_a_python_server_runs_under_the_interpreter_of_the_environment(name):
    """By its module, through the launcher that repairs what is broken there."""
    words = PROGRAMS[name].command(load_request(name), FOLDER, "/some/python")
    assert words[0] == "/some/python"
    assert Path(words[1]).name == "launch.py"
    assert Path(words[1]).is_file()


@pytest.mark.parametrize("name", ["llama.cpp", "llama-server", "llama_cpp.server"])
def test_a_gguf_is_served_with_its_projector_and_context(name):
    """Both files in the folder, and as many tokens as the request asks for."""
    words = PROGRAMS[name].command(load_request(name, context=2048), FOLDER, "python")
    assert option(words, "--model") == str(FOLDER / "m.gguf")
    assert str(FOLDER / "p.gguf") in words
    assert "2048" in words
    assert PROGRAMS[name].served_as(FOLDER) in words


@pytest.mark.parametrize("name", ["llama.cpp", "llama-server", "llama_cpp.server"])
def test_a_text_model_is_served_without_a_projector(name):
    """No option for one, and the model's own chat template."""
    words = PROGRAMS[name].command(load_request(name, mmproj_file=""), FOLDER, "python")
    assert option(words, "--model") == str(FOLDER / "m.gguf")
    assert not {"--mmproj", "--clip_model_path", "--chat_format", str(FOLDER)} & set(words)


@pytest.mark.parametrize("name", LLAMA_SERVERS)
def test_a_declared_chat_template_replaces_that_of_the_files(name):
    """Some conversions carry a template that takes no images."""
    words = PROGRAMS[name].command(load_request(name), FOLDER, "python")
    assert "--chat-template" not in words
    words = PROGRAMS[name].command(load_request(name, chat_template="{{ x }}"), FOLDER, "python")
    assert option(words, "--chat-template") == "{{ x }}"


def test_llama_cpp_is_served_out_of_its_wheel_by_the_interpreter_of_the_environment():
    """A script of ours, which needs nothing but the wheel; it is named by its distribution."""
    words = PROGRAMS["llama.cpp"].command(load_request("llama.cpp"), FOLDER, "/some/python")
    assert words[0] == "/some/python"
    assert Path(words[1]) == Path(programs.__file__).with_name("llama_cpp.py")
    assert "xllamacpp" in programs.missing("llama.cpp", {})
    assert "qualification[llama-cpp]" in programs.missing("llama.cpp", {})
    assert programs.missing("llama.cpp", {"xllamacpp": "2026.10.11549"}) == ""


@pytest.mark.parametrize("name", ["mlx_vlm.server", "transformers-serve"])
def test_remote_code_is_off_unless_the_request_allows_it(name):
    """The code of a model's files is hostile."""
    command = PROGRAMS[name].command
    assert "--trust-remote-code" not in command(load_request(name), FOLDER, "python")
    assert "--trust-remote-code" in command(load_request(name, remote_code=True), FOLDER, "python")


@pytest.mark.parametrize("name", LLAMA_SERVERS)
def test_llama_cpp_stays_on_the_processor_where_asked(name):
    """Else all layers go to the GPU."""
    command = PROGRAMS[name].command
    assert option(command(load_request(name), FOLDER, ""), "--n-gpu-layers") == "999"
    words = command(load_request(name, device="cpu"), FOLDER, "")
    assert "--n-gpu-layers" not in words


@NAMES
def test_a_fixed_length_is_a_field_that_other_requests_do_not_have(name):
    """Each program has one of its own; an answer that may end by itself is left alone."""
    extra = PROGRAMS[name].extra
    natural = extra(GenerateRequest((), 7), CANARY)
    fixed = extra(GenerateRequest((), 7, fixed_length=True), CANARY)
    assert fixed != natural
    assert natural.items() <= fixed.items() or name == "transformers-serve"


def test_transformers_serve_gets_a_complete_generation_configuration():
    """It replaces the request's own fields, so length, sampling and end tokens are all in it."""
    extra = PROGRAMS["transformers-serve"].extra
    greedy = json.loads(extra(GenerateRequest((), 7), CANARY)["generation_config"])
    assert greedy == {"max_new_tokens": 7, "do_sample": False, "eos_token_id": end_tokens(CANARY)}
    request = GenerateRequest((), 7, temperature=0.5, fixed_length=True)
    sampled = json.loads(extra(request, CANARY)["generation_config"])
    assert (sampled["do_sample"], sampled["temperature"]) == (True, 0.5)
    assert sampled["min_new_tokens"] == sampled["max_new_tokens"] == 7


@pytest.mark.parametrize("name", LLAMA_SERVERS)
def test_the_prompt_cache_of_llama_cpp_is_off(name):
    """A repeated request would be answered without computing its prompt."""
    assert PROGRAMS[name].extra(GenerateRequest((), 7), CANARY)["cache_prompt"] is False


def test_a_users_server_gets_the_usual_fields_for_a_fixed_length_only():
    """A server that does not know them ignores them."""
    assert any_extra(GenerateRequest((), 7), FOLDER) == {}
    fixed = any_extra(GenerateRequest((), 7, fixed_length=True), FOLDER)
    assert fixed == {"ignore_eos": True, "min_tokens": 7}


def test_missing_distributions_are_named_with_the_command_that_installs_them():
    """By the normalised names of the environment's distributions; a URL needs nothing."""
    sentence = programs.missing("mlx_vlm.server", {"mlx_vlm": "0.7.10", "FastAPI": "1"})
    assert sentence.startswith("mlx_vlm.server needs uvicorn; install it with: ")
    assert programs.missing("url") == ""


def test_what_a_program_of_another_package_lacks_is_no_extra_of_ours(monkeypatch):
    """Its distributions by name; then what the program itself says."""
    program = dataclasses.replace(
        PROGRAMS["mlx_vlm.server"], name="acme", needs=("acme-lib",), absent=lambda: "no acme here"
    )
    monkeypatch.setitem(PROGRAMS, "acme", program)
    sentence = "acme needs acme-lib; install it with: pip install acme-lib"
    assert programs.missing("acme", {}) == sentence
    assert programs.missing("acme", {"acme_lib": "1"}) == "no acme here"


def test_a_missing_llama_server_is_reported_with_what_builds_it(built, monkeypatch):
    """Neither built nor on the PATH; only a checkout has a Makefile."""
    monkeypatch.setenv("PATH", str(built))
    assert "make llama-tools" in programs.missing("llama-server")
    monkeypatch.setattr("qualification.core.paths.is_checkout", lambda: False)
    assert "install a release of https://" in programs.missing("llama-server")
    assert "make" not in programs.missing("llama-server")
    assert programs.llama_server_version() == ""
    program_in(built)
    assert programs.missing("llama-server") == ""


def test_a_llama_server_that_was_built_is_preferred_to_the_one_on_the_path(built, monkeypatch):
    """It lies in the cache's folder of the installed release, which is its version."""
    monkeypatch.setattr(programs, "installed_version", lambda _package: "1.2.3")
    program_in(built)
    file = program_in(built / "cache/llama.cpp/1.2.3")
    assert programs.llama_server() == file
    assert programs.llama_server_version() == "1.2.3"


@pytest.mark.parametrize(
    ("output", "version"),
    [("version: 8123 (abc1234)\nbuilt with clang for arm64", "8123"), ("no version", "")],
)
def test_a_llama_server_on_the_path_has_its_build_number(built, output, version):
    """As Homebrew's prints it; without one it cannot be compared."""
    program = program_in(built, output)
    assert programs.llama_server() == program
    assert programs.llama_server_version() == version


def test_versions_are_read_under_the_interpreter_of_the_environment(tmp_path):
    """In a process of its own; '' for a distribution that it does not have."""
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    versions = programs.versions_under(str(python), ("pip", "no-such-distribution"))
    assert versions["no-such-distribution"] == ""
    assert set(versions) == {"pip", "no-such-distribution"}


def test_end_tokens_are_those_of_the_files(tmp_path):
    """One or several in each file, each token once; none without files."""
    declared = json.loads((CANARY / "generation_config.json").read_text())["eos_token_id"]
    assert declared in end_tokens(CANARY)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 2]}')
    (tmp_path / "config.json").write_text('{"eos_token_id": 2}')
    assert end_tokens(tmp_path) == [2, 7]
    (tmp_path / "config.json").write_text("{")
    assert end_tokens(tmp_path) == [2, 7]
    assert end_tokens(tmp_path / "absent") == []
