"""The guide: pins, downloads, servers and code are those of the records, whatever is declared."""

import ast
import json
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement

from qualification.core.declarations import Deployment
from qualification.core.protocol import LoadReport
from qualification.documents.model import Code, plain_text
from qualification.documents.sections.guide import guide, loading_methods
from qualification.documents.sections.recipes.python import ask_with_openai, load_in_python
from qualification.documents.sections.recipes.recipe import Recipe
from qualification.documents.sections.recipes.shell import ask_with_curl, download, install, serve
from qualification.models.loading import load_registry
from qualification.models.weights import load_request
from qualification.servers.programs import PROGRAMS
from tests.documents.air_sample import EIGHT, LARGE, VERSIONS, air, row_of
from tests.support.session_sample import REVISION

GGUF = "smolvlm-500m-Q8_0@llamacpp"
ENGINES = [LARGE, GGUF, "qwen2.5-vl-7b-bf16@torch", "smolvlm-canary-f32@llama.cpp"]
SERVED = [
    *("smolvlm-canary-f32@llama.cpp", "smolvlm-canary-f32@llama-server"),
    *("smolvlm-canary-f32@llama_cpp.server", "smolvlm-canary-f32@mlx_vlm.server"),
    "smolvlm-canary-f32@transformers-serve",
]


@pytest.fixture(scope="module")
def registry():
    """What ships."""
    return load_registry()


def recipe_of(identifier, registry, model=None, **changes):
    """A recipe of a measured deployment; ``model`` and others change what is declared."""
    deployment = registry.deployment(identifier)
    session_changes = {
        name: changes.pop(name) for name in ("versions", "system", "revision") if name in changes
    }
    sample = air({identifier: {}}, **session_changes)
    row = row_of(identifier, sample, registry)
    declared = Deployment(
        replace(deployment.model, **(model or {})), replace(deployment.source, **changes)
    )
    return Recipe(declared, row, sample.session)


def words_of(text, program):
    """The words of each command of a program in a script."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(program)]


def requirements_of(text):
    """What pip is told to install, with exact releases and without."""
    words = [word for command in words_of(text, "pip ") for word in command[2:]]
    parsed = [Requirement(word) for word in words]
    return {r.name: str(r.specifier) for r in parsed}, {r.name: r.extras for r in parsed}


# ------------------------------------------------------------------------------------------ install


@pytest.mark.parametrize("identifier", ENGINES)
def test_every_pin_is_a_release_that_was_recorded(identifier, registry):
    """The public part of it: no package index has the local one."""
    recipe = recipe_of(identifier, registry)
    text = install(recipe)
    assert text.startswith("python3.12 -m venv vlm\n")
    pins, _extras = requirements_of(text)
    assert {name for name in pins if pins[name]} <= VERSIONS.keys()
    for name, specifier in pins.items():
        if specifier:
            assert specifier == f"=={VERSIONS[name].partition('+')[0]}"
    assert {"openai", "huggingface_hub"} <= pins.keys()
    assert ("measured with: torch 2.13.0+cpu" in text) == ("torch" in pins)


def test_what_is_not_recorded_has_no_release(registry):
    """A version that is none is no version either."""
    recipe = recipe_of(LARGE, registry, versions={"mlx": "0.32.4; rm -rf /", "mlx-vlm": ""})
    pins, _extras = requirements_of(install(recipe))
    assert not any(pins.values())
    assert "rm" not in install(recipe)


def test_linux_has_mlx_with_the_core_that_was_measured(registry):
    """A Mac has it in the package itself."""
    on_linux = requirements_of(install(recipe_of(LARGE, registry, system="linux")))
    assert on_linux[1]["mlx"] == {"cpu"}
    assert requirements_of(install(recipe_of(LARGE, registry)))[1]["mlx"] == set()


# ----------------------------------------------------------------------------------------- download


@pytest.fixture
def downloads_of(monkeypatch):
    """Runs each ``hf download`` of a script by its own program, as far as the network."""
    program = pytest.importorskip("huggingface_hub.cli.hf")
    downloading = pytest.importorskip("huggingface_hub.cli.download")
    calls = []

    def snapshot_download(**arguments):
        calls.append(arguments)
        return "/the/snapshot"

    monkeypatch.setattr(downloading, "snapshot_download", snapshot_download)
    monkeypatch.setattr(downloading, "hf_hub_download", None)

    def run(text):
        calls.clear()
        for line in re.findall(r"hf download [^)\n]*", text.replace("\\\n", " ")):
            done = CliRunner().invoke(program.app, shlex.split(line)[1:])
            assert done.exit_code == 0, done.output
            assert "--quiet" not in line or done.stdout == "/the/snapshot\n"
        return calls

    return run


def test_the_measured_commit_is_downloaded_and_linked(registry, downloads_of):
    """Of the files that were loaded."""
    text = download(recipe_of(GGUF, registry))
    (parameters,) = downloads_of(text)
    source = registry.deployment(GGUF).source
    assert parameters["repo_id"] == source.repository
    assert parameters["revision"] == REVISION
    assert parameters["allow_patterns"] == [source.model_file, source.mmproj_file]
    assert text.startswith('ln -sfn "$(hf download ')
    assert text.endswith(' --quiet)" smolvlm-500m-Q8_0')


def test_a_folder_takes_its_safetensors_and_what_stands_beside(registry, downloads_of):
    """As the harness takes them."""
    (parameters,) = downloads_of(download(recipe_of(LARGE, registry)))
    assert "*.safetensors" in parameters["allow_patterns"]
    assert "*.py" not in parameters["allow_patterns"]


def test_without_a_measured_commit_the_declared_revision_stands(registry, downloads_of):
    """And the guide says which of the two it is."""
    recipe = recipe_of("moondream2-bf16@mlx", registry, revision="")
    tokenizer, model = downloads_of(download(recipe))
    assert tokenizer["repo_id"] == "moondream/starmie-v1"
    assert model["revision"] == "2025-06-21"
    sample = air({LARGE: {}}, revision="")
    text = " ".join(map(_text, guide(registry.deployment(LARGE), sample, registry).blocks))
    assert "The declared revision, main" in text


def test_hub_releases_before_1_take_the_patterns_at_once(registry):
    """Their parser keeps only the last of several --include."""
    text = download(recipe_of(GGUF, registry, versions={"huggingface_hub": "0.36.2"}))
    assert text.count("--include") == 1


def test_local_files_are_not_downloaded(registry):
    """A canary, or a folder of the user's."""
    assert download(recipe_of("smolvlm-canary-f32@mlx", registry)) == ""


# ------------------------------------------------------------------------------------------- server


@pytest.mark.parametrize("identifier", SERVED)
def test_the_server_is_the_one_that_the_harness_starts(identifier, registry):
    """Word by word, but for the interpreter, our launcher, and the port."""
    recipe = recipe_of(identifier, registry)
    source = recipe.deployment.source
    ours = PROGRAMS[source.server].command(
        load_request(recipe.deployment), Path(source.path), "python"
    )
    words = shlex.split(serve(recipe).replace("\\\n", " "))
    start = words.index("--host")
    assert words[start : start + 2] == ["--host", "127.0.0.1"]
    behind = [word.replace("{port}", "8080") for word in ours[2:]]
    behind += source.options.get("arguments", ())
    assert words[-len(behind) :] == behind


def test_a_declared_port_is_the_one_of_the_commands(registry):
    """In the server's line and in the requests."""
    recipe = recipe_of("smolvlm-canary-f32@llama.cpp", registry, options={"port": 9001})
    for text in (serve(recipe), ask_with_curl(recipe), ask_with_openai(recipe)):
        assert "9001" in text
        assert "8080" not in text


def test_a_server_of_the_users_is_only_asked(registry):
    """Its login and its key are in no line."""
    url = "http://user:hidden-word@127.0.0.1:9000/v1"
    (deployment,) = registry.with_server(url, "some-model").deployments()
    sample = air({deployment.identifier: {}})
    section = guide(deployment, sample, registry)
    text = " ".join(map(_text, section.blocks))
    assert "hidden-word" not in text
    assert "pip install" not in text
    assert "http://127.0.0.1:9000/v1" in text
    assert "QUALIFY_API_KEY" in text
    assert len([block for block in section.blocks if isinstance(block, Code)]) == 2


# ------------------------------------------------------------------------------ hostile and secret


def shell_words(command):
    """The words that a shell makes of a command; nothing is run but printf."""
    script = f"printf '%s\\0' {command}"
    printed = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    return printed.decode("utf-8").split("\0")[:-1]


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)


@settings(max_examples=40)
@given(repository=TEXT, file=TEXT, template=TEXT, value=TEXT, name=TEXT)
def test_no_declared_text_leaves_its_quotes(repository, file, template, value, name):
    """Neither in the shell nor in Python."""
    registry = load_registry()
    changes = {"repository": repository, "model_file": file, "options": {name: value}}
    for identifier in ENGINES[:3]:
        recipe = recipe_of(
            identifier, registry, {"chat_template": template}, path="", revision="", **changes
        )
        code = load_in_python(recipe)
        texts = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
        assert {repository, name} <= set(texts)
        assert template in texts or identifier == GGUF
        words = shell_words(serve(recipe))
        assert words[:2] == ["python", "-m"]
        assert words[words.index("--host") + 1] == "127.0.0.1"
        inner = download(recipe).removeprefix('ln -sfn "$(').rpartition(')" ')[0]
        assert shell_words(inner)[:3] == ["hf", "download", repository]


@settings(max_examples=20)
@given(folder=TEXT)
def test_the_body_of_a_request_arrives_as_it_was_written(folder, tmp_path_factory):
    """What the shell pipes into curl is JSON with that model's name and the image."""
    registry = load_registry()
    recipe = recipe_of("smolvlm-canary-f32@mlx_vlm.server", registry, path=f"/{folder}")
    command = ask_with_curl(recipe).rpartition("} | curl")[0] + "}"
    place = tmp_path_factory.mktemp("image")
    (place / "image.png").write_bytes(b"\x89PNG")
    printed = subprocess.run(["bash", "-c", command], cwd=place, capture_output=True, check=True)
    body = json.loads(printed.stdout)
    assert body["model"] == str(Path(f"/{folder}"))
    (image, text) = body["messages"][0]["content"]
    assert image["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    assert text == {"type": "text", "text": "Describe this image."}


def test_no_key_is_part_of_a_command(registry):
    """A variable of its name stands there."""
    words = ["--api-key", "hidden-word", "--hf-token=hidden-word", "--parallel", "2"]
    recipe = recipe_of(
        "smolvlm-canary-f32@llama-server",
        registry,
        options={"arguments": words},
        environment={"SOME_TOKEN": "hidden-word", "OMP_NUM_THREADS": "1"},
    )
    text = serve(recipe)
    assert '--api-key "$API_KEY"' in text
    assert '--hf-token="$HF_TOKEN"' in text
    assert text.startswith('SOME_TOKEN="$SOME_TOKEN" OMP_NUM_THREADS=1 llama-server ')
    options = {"api_key": "hidden-word", "inner": {"token": "hidden-word"}}
    recipe = recipe_of(LARGE, registry, options=options, environment={"X_KEY": "hidden-word"})
    code = load_in_python(recipe)
    assert "hidden-word" not in text + code
    assert code.startswith("import os\n")
    assert "os.environ['API_KEY']" in code


# ------------------------------------------------------------------------------------------- Python


@pytest.mark.parametrize("identifier", ENGINES)
def test_a_model_of_text_alone_is_given_no_image(identifier, registry):
    """Neither by the library nor by a request."""
    recipe = recipe_of(identifier, registry, {"capabilities": ("text_only",)}, mmproj_file="")
    for code in (load_in_python(recipe), ask_with_openai(recipe), ask_with_curl(recipe)):
        assert "image.png" not in code
        assert "image_url" not in code
    ast.parse(load_in_python(recipe))
    assert "AutoModelForImageTextToText" not in load_in_python(recipe)


def test_the_dtype_has_the_name_of_the_release(registry):
    """Transformers renamed it."""
    name = "qwen2.5-vl-7b-bf16@torch"
    old = recipe_of(name, registry, versions={"transformers": "4.55.4"})
    assert "{'torch_dtype': 'auto'}" in load_in_python(old)
    assert "{'dtype': 'auto'}" in load_in_python(recipe_of(name, registry))


def test_a_workaround_stands_in_the_code(registry):
    """As a comment; so do files of other repositories."""
    code = load_in_python(recipe_of("llava-1.6-mistral-7b-4bit@mlx", registry))
    assert code.startswith("# Its documents load it again for each image")
    assert "chat_template=template" in code
    assert "moondream/starmie-v1" in load_in_python(recipe_of("moondream2-bf16@mlx", registry))


def test_families_of_one_text_are_those_of_the_backend():
    """They are asked as mlx-vlm asks them."""
    from qualification.backends.mlx import backend
    from qualification.documents.sections.recipes import python

    assert python._ONE_TEXT == backend._ONE_TEXT


# ----------------------------------------------------------------------------------------- sections


def _text(block):
    if isinstance(block, Code):
        return block.text
    entries = (block.content,) if block.kind == "paragraph" else block.entries
    return " ".join(map(plain_text, entries))


def test_the_guide_goes_from_the_installation_to_a_request(registry):
    """In this order, with what is different from what was measured."""
    sample = air({LARGE: {}})
    section = guide(registry.deployment(LARGE), sample, registry)
    assert section.anchor == "production"
    text = "\n".join(map(_text, section.blocks))
    steps = ["Install.", "Download.", "Start a server.", "Ask it."]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "The commit that was measured" in text
    assert "mlx_vlm.server is untimed" in text
    assert "known bugs of mlx_vlm.server in these releases" in text


def test_the_notes_of_a_load_stand_beside_its_code(registry):
    """What was different from what was declared."""
    noted = LoadReport(4.2, 4.0, 1.0, "gpu", 10**9, REVISION, {}, notes=("a <note>",))
    sample = replace(air({LARGE: {}}), load_reports={LARGE: noted})
    section = loading_methods([registry.deployment(LARGE)], sample, registry)
    quoted = [
        span
        for block in section.blocks
        if block.kind == "items"
        for entry in block.entries
        for span in entry
        if span.style == "quoted"
    ]
    assert [span.text for span in quoted] == ["a <note>"]


def test_each_engine_and_family_has_its_code_once(registry):
    """With the figures of all its deployments beside it."""
    names = [LARGE, EIGHT, GGUF, "smolvlm-canary-f32@mlx_vlm.server"]
    sample = air({name: {} for name in names})
    deployments = [registry.deployment(name) for name in names]
    section = loading_methods(deployments, sample, registry)
    assert section.anchor == "loading"
    codes = [block for block in section.blocks if isinstance(block, Code)]
    assert [code.language for code in codes] == ["python", "python", "sh"]
    text = "\n".join(map(_text, section.blocks))
    for name in names:
        assert f"{name}: load 4.20 s, peak 6.80 GB, accuracy 94.0% (88–97 % of 100" in text


def test_what_was_not_loaded_has_no_method(registry):
    """A deployment of another session, or one that failed to load."""
    sample = replace(air({LARGE: {}}), load_reports={})
    deployments = [registry.deployment(name) for name in (LARGE, EIGHT)]
    assert loading_methods(deployments, sample, registry) is None
