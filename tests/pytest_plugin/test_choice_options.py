"""--model tries a model that nobody declared; --deployment chooses by name."""

import shutil
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
    result.stdout.fnmatch_lines(
        [
            "tiny-vl: family llama, *sees images, context 2,048; read from its files; deployments: "
            "tiny-vl-f32@llamacpp, tiny-vl-f32@llama.cpp"
        ]
    )
    result = project.runpytest_subprocess("--model=my models/tiny vl", "--collect-only", "-q")
    assert collected(result) == {"tiny-vl-f32"}


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


def test_a_url_is_a_server_and_stands_alone(project):
    """As --server-url takes it."""
    result = project.runpytest_subprocess("--model", "http://127.0.0.1:1/v1", "--co", "-q")
    assert collected(result) == {"model-as-served"}
    result = project.runpytest_subprocess("--model", "http://127.0.0.1:1/v1", "--model", "a/b")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


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
