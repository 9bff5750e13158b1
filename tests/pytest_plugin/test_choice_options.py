"""--model tries a model that nobody declared; --deployment chooses by name."""

import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec

import pytest

from qualification.core.paths import canaries


@pytest.fixture
def project(pytester):
    """A project without declarations, and a canary's GGUF in a folder with a blank."""
    pytester.makepyprojecttoml("[tool.pytest.ini_options]")
    folder = pytester.path / "my models" / "tiny vl"
    folder.mkdir(parents=True)
    for source, name in (("model", "Tiny-VL-F32"), ("mmproj", "mmproj-Tiny-VL-F16")):
        shutil.copy(canaries() / f"smolvlm/gguf/{source}.gguf", folder / f"{name}.gguf")
    return pytester


def collected(result):
    """The deployments that were collected."""
    cases = [line for line in result.outlines if "::" in line]
    return {case.partition("[")[2].partition("]")[0].partition("@")[0] for case in cases}


def test_an_undeclared_model_is_collected_and_what_was_read_is_printed(project):
    """Nothing else is; its deployments are named."""
    result = project.runpytest_subprocess("--model=my models/tiny vl", "--collect-only")
    header = " ".join(result.stdout.str().split())
    assert "tiny-vl: family llama, " in header
    assert (
        "sees images, context 2,048; read from its files; deployments: tiny-vl-f32@llamacpp, "
        "tiny-vl-f32@llama.cpp"
    ) in header
    assert max(len(line) for line in result.outlines if "tiny-vl" in line and "<" not in line) <= 80
    result = project.runpytest_subprocess("--model=my models/tiny vl", "--collect-only", "-q")
    assert collected(result) == {"tiny-vl-f32"}


def test_a_model_of_text_alone_is_asked_all_but_images(project):
    """Speed, memory, repetition, retention, state and a server's protocol need none."""
    for projector in project.path.rglob("mmproj*"):
        projector.unlink()
    result = project.runpytest_subprocess("--model=my models/tiny vl", "--collect-only", "-q")
    names = {line.partition("::")[2] for line in result.outlines if "::" in line}
    tests = {name.partition("[")[0] for name in names}
    assert {
        *("test_speed", "test_phases", "test_memory_does_not_grow", "test_speed_repeats"),
        *("test_a_seed_repeats", "test_remembers_the_image_of_the_first_turn", "test_sentinel"),
        *("test_many_requests_in_a_row", "test_text_only_question", "test_long_prompt"),
        *("test_answer_has_openais_shape", "test_refuses", "test_bad_requests_harm_nothing"),
    } <= tests
    assert not tests & {
        *("test_says_what_it_sees", "test_format", "test_image_tokens", "test_vqa_accuracy"),
        *("test_sizes_in_turn_change_nothing", "test_each_request_has_its_own_image"),
        *("test_each_client_is_told_of_its_own_image", "test_a_failing_stream_tells_its_failure"),
    }
    assert not [name for name in names if "test_refuses" in name and "image" in name]


@pytest.mark.slow
def test_an_undeclared_model_is_tried(project):
    """Loaded and asked like any other; its record is kept in the project."""
    if find_spec("llama_cpp") is None:  # pytester would forget a module that is imported here
        pytest.skip("not installed")
    words = ["--model=my models/tiny vl", "--deployment", "*@llamacpp", "-m", "load or drift"]
    result = project.runpytest_subprocess(*words)
    result.stdout.fnmatch_lines(["tiny-vl-f32@llamacpp *"])
    assert result.parseoutcomes()["passed"] >= 2
    assert (project.path / "reports/results.sqlite").is_file()


def test_a_folder_that_pytest_takes_for_its_own_is_refused_with_the_remedy(project):
    """Results would go to another folder."""
    elsewhere = project.path.parent / f"{project.path.name}-models"
    shutil.copytree(project.path / "my models", elsewhere)
    result = project.runpytest_subprocess("--model", str(elsewhere / "tiny vl"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert f"write --model='{elsewhere / 'tiny vl'}'" in line


def test_what_is_no_model_is_one_usage_error(project):
    """With what to write instead."""
    result = project.runpytest_subprocess("--model", "owner/name")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert line.endswith("to have it on this disk: hf download owner/name")


def test_two_models_of_one_name_are_refused(project):
    """Their results could not be told apart."""
    words = ["--model=my models/tiny vl"] * 2
    result = project.runpytest_subprocess(*words, "--co")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "two models would be called 'tiny-vl'" in "".join(result.errlines)


def test_two_quantisations_of_a_model_are_its_deployments(project):
    """So their answers are compared."""
    folder = project.path / "my models/tiny vl"
    quantised = canaries() / "smolvlm/gguf/model-q8_0.gguf"
    shutil.copy(quantised, folder / "Tiny-VL-Q8_0.gguf")
    words = [f"--model=my models/tiny vl/Tiny-VL-{name}.gguf" for name in ("F32", "Q8_0")]
    result = project.runpytest_subprocess(*words, "--co", "-q")
    assert collected(result) == {"tiny-vl-f32", "tiny-vl-Q8_0"}


def test_a_url_is_a_server_and_stands_alone(project):
    """As --server-url takes it."""
    result = project.runpytest_subprocess("--model", "http://127.0.0.1:1/v1", "--co", "-q")
    assert collected(result) == {"model-as-served"}
    result = project.runpytest_subprocess("--model", "http://127.0.0.1:1/v1", "--model", "a/b")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_server_is_named_by_the_only_model_that_it_serves(project):
    """And by its address, before anything is asked of the model."""

    class Models(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            content = json.dumps({"data": [{"id": "org/Qwen3-VL-8B", "object": "model"}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Models) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        place = f"127.0.0.1:{server.server_port}"
        result = project.runpytest_subprocess("--server-url", f"http://{place}", "--co", "-q")
        result.stdout.fnmatch_lines([f"*[[]Qwen3-VL-8B-as-served@{place}*"])
        words = ["--server-url", f"http://{place}", "--server-model", "another", "--co", "-q"]
        words += ["--deployment", f"another-as-served@{place}"]
        assert collected(project.runpytest_subprocess(*words)) == {"another-as-served"}
        server.shutdown()


def test_a_url_that_is_none_is_one_usage_error(project):
    """Without the password that it may hold."""
    result = project.runpytest_subprocess("--server-url", "http://me:secret@[::1/v1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert "no address: write one such as http://127.0.0.1:8080/v1" in line
    assert "secret" not in line


def test_deployments_are_chosen_by_name_with_wildcards(project):
    """-k cannot take an @."""
    words = ["--deployment", "smolvlm-canary-*@mlx", "--deployment", "qwen2-vl-canary-f32@torch"]
    result = project.runpytest_subprocess(*words, "--collect-only", "-q")
    chosen = {f"smolvlm-canary-{name}" for name in ("f32", "4bit", "8bit")}
    assert collected(result) == {*chosen, "qwen2-vl-canary-f32"}


def test_a_pattern_that_matches_nothing_is_one_usage_error(project):
    """With the nearest name."""
    result = project.runpytest_subprocess("--deployment", "smolvlm-canary@mlx")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.strip()]
    assert "did you mean 'smolvlm-canary-f32@mlx'?" in line
