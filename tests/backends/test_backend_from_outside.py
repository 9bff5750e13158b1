"""A backend of another package: the example of docs/extending.md, built, installed and run."""

import json
import shutil
import subprocess
import sys
import venv

import pytest

from qualification.core.paths import PACKAGE
from tests.support.installed_extension import files_of_section

pytestmark = pytest.mark.slow
FILES = files_of_section("A backend")


@pytest.fixture
def project(extended_project):
    """The project of the example: its package installed, its model declared."""
    extended_project.add(FILES)
    weights = extended_project.path / "declared/colours"
    weights.mkdir()
    (weights / "config.json").write_text(json.dumps({"colours": ["red", "lime", "blue"]}))
    return extended_project


def test_it_is_probed_and_named_with_its_package(project):
    """The doctor reports it as ready, with the version of its library."""
    report = json.loads("\n".join(project.qualify("doctor", "--json").outlines))
    backends = {backend["name"]: backend for backend in report["backends"]}
    assert backends["toy"]["ready"] is True
    assert backends["toy"]["version"]
    extension = {"group": "qualification.backends", "name": "toy", "package": "acme-toy 1.0"}
    assert extension in report["extensions"]


def test_it_is_loaded_and_asked_through_a_worker(project):
    """Under its marker, and under no other backend's."""
    options = ("--declarations", "declared", "--strict-markers", "test_colours.py")
    result = project.pytest("-m", "toy", *options)
    assert result.parseoutcomes()["passed"] == 1
    assert "failed" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["colours-bf16@toy *"])


def test_a_module_that_does_not_import_is_named_and_the_rest_works(project):
    """With its package; the other backends are probed, and their tests are collected."""
    module = project.packages / "acme_toy/__init__.py"
    module.write_text("raise RuntimeError('no toy today')\n")
    result = project.qualify("doctor")
    text = " ".join(" ".join(result.outlines).split())
    assert "acme-toy 1.0 registers 'toy'" in text
    assert "RuntimeError: no toy today" in text
    collected = project.pytest("-m", "canary and mlx and load", "--collect-only")
    assert collected.ret == 0
    assert any("acme-toy 1.0 registers 'toy'" in line for line in collected.outlines)


def test_a_worker_takes_it_from_its_file_where_it_is_not_installed(project, tmp_path):
    """The environment to qualify has the library, and nothing of the parent's packages."""
    bare = tmp_path / "bare"
    venv.create(bare)
    package = project.packages / "acme_toy"
    moved = tmp_path / "elsewhere/acme_toy"
    shutil.copytree(package, moved)
    code = (
        "from qualification import backends\n"
        "from qualification.core.protocol import LoadRequest\n"
        f"request = LoadRequest('toy', 'hub', 'toy', module='acme_toy.backend', "
        f"package_file={str(moved / '__init__.py')!r})\n"
        "print(type(backends.create(request)).__module__)\n"
    )
    done = subprocess.run(
        [bare / "bin/python", "-c", code],
        env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "acme_toy.backend"
    assert sys.executable != str(bare / "bin/python")
