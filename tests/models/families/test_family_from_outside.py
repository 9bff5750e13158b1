"""A family of another package: the example of docs/extending.md, installed and used."""

import json
import shutil

import pytest

from qualification.core.paths import canaries
from tests.support.installed_extension import files_of_section

pytestmark = pytest.mark.slow

OWN = ("--declarations", "declared")
EXPECTED = """
from pathlib import Path

from PIL import Image

from qualification.backends.expected_tokens import expected
from qualification.core.protocol import GenerateRequest, Message, Part


def test_expected(tmp_path):
    file = tmp_path / "image.png"
    Image.new("RGB", (70, 28)).save(file)
    image = Message("user", (Part("image", str(file)),))
    assert expected(Path.cwd(), GenerateRequest((image,), 1, phases=True)) == COUNT
"""


@pytest.fixture
def project(extended_project, monkeypatch):
    """The project of the page, with a folder of processor files: those of some canary."""
    extended_project.add(files_of_section("A model family"))
    processor = extended_project.path / "declared/configs/toy-vl-processor"
    ignored = shutil.ignore_patterns("*.safetensors", "gguf")
    shutil.copytree(canaries() / "smolvlm", processor, ignore=ignored)
    monkeypatch.setenv("QUALIFY_CACHE", str(extended_project.path / "cache"))
    return extended_project


def test_its_footprint_has_its_tensors_and_its_image_tokens(project):
    """Nothing is downloaded: the layout gives the tensors."""
    parts = _parts(project, "toy-vl", *OWN)
    assert "43 tensors" in parts["toy-vl-bf16@torch"]["weights"]
    assert "103 tensors" in parts["toy-vl-4bit@mlx"]["weights"]
    assert parts["toy-vl-4bit@mlx"]["activations"] == "989 image tokens of 1355 x 710 px"


def test_synthetic_weights_have_its_tensors(project):
    """Under the published names, beside the processor's files."""
    result = project.qualify("synthetic", "make", "toy-vl-bf16-synthetic@torch", *OWN)
    assert result.ret == 0
    (folder,) = (project.path / "cache/synthetic").glob("toy-vl-bf16*")
    with (folder / "model.safetensors").open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    assert header["vision.patches.weight"]["shape"] == [128, 3072]
    assert (folder / "tokenizer.json").is_file()


@pytest.mark.parametrize(("is_installed", "count"), [(True, 3), (False, -1)])
def test_a_worker_expects_its_image_tokens(project, is_installed, count):
    """By the settings in the model's files, where the package is installed."""
    if not is_installed:
        shutil.rmtree(project.packages)
    (project.path / "config.json").write_text('{"model_type": "toy_vl"}')
    (project.path / "preprocessor_config.json").write_text('{"patch_size": 28}')
    (project.path / "test_expected.py").write_text(EXPECTED.replace("COUNT", str(count)))
    project.pytest("test_expected.py").assert_outcomes(passed=1)


def test_without_the_package_its_parts_are_left_out(project):
    """The sum says so, and synthetic weights name the families that are known."""
    shutil.rmtree(project.packages)
    parts = _parts(project, "toy-vl", *OWN)["toy-vl-bf16@torch"]
    assert "image tokens of toy_vl are not known" in parts["activations"]
    assert "declared parameters" in parts["weights"]
    result = project.qualify("synthetic", "make", "toy-vl-bf16-synthetic@torch", *OWN)
    assert result.ret == 2
    result.stderr.fnmatch_lines(
        ["*no layout is known for the family 'toy_vl': known are qwen2_vl*"]
    )


def test_a_family_that_does_not_import_is_left_out_and_the_rest_works(extended_project):
    """The doctor names it with its package, and what ships is predicted as without it."""
    files = files_of_section("A model family")
    init = "acme_toy_vl/__init__.py"
    package = {"pyproject.toml": files["pyproject.toml"], init: "import no_such_library\n"}
    extended_project.add(package)
    result = extended_project.qualify("doctor")
    assert result.ret == 0
    assert "acme-toy-vl 1.0 registers 'toy_vl' in" in " ".join(str(result.stdout).split())
    parts = _parts(extended_project, "qwen2.5-vl-7b")["qwen2.5-vl-7b-4bit@mlx"]
    assert "1,200 image tokens" in parts["activations"]


def _parts(project, *arguments):
    """Deployment -> part of its predicted footprint -> how it was computed."""
    document = json.loads(str(project.qualify("footprint", "--json", *arguments).stdout))
    return {
        entry["deployment"]: {part["name"]: part["how"] for part in entry["parts"]}
        for entry in document["footprints"]
    }
