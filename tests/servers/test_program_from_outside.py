"""A server program of another package: the example of docs/extending.md, installed and used."""

import json
import re
import shutil
import sqlite3

import pytest

from qualification.core.paths import canaries
from tests.support.installed_extension import files_of_section

pytestmark = pytest.mark.slow

BUG = """
[[bugs]]
identifier = "acme-serve-blue"
title = "blue is mistaken"
package = "acme-serve"
versions = "<2"
deployments = ["*@acme-serve"]
tests = ["test_mistakes_blue"]
failure = "blue"
cause = "none"
source = "a test"
"""
MISTAKE = """
def test_mistakes_blue(deployed):
    from PIL import Image

    assert deployed.ask("What?", Image.new("RGB", (8, 8), "blue")) == "green"
"""


@pytest.fixture
def project(extended_project):
    """The project of the page, with a folder of weights, which its server does not read."""
    extended_project.add(files_of_section("A server program"))
    shutil.copytree(canaries() / "smolvlm", extended_project.path / "weights")
    return extended_project


def test_the_doctor_names_it_as_ready_with_its_version(project):
    """Beside the programs that ship."""
    report = json.loads(str(project.qualify("doctor", "--json").stdout))
    servers = {server["name"]: server for server in report["servers"]}
    assert servers["acme-serve"]["ready"] is True
    assert servers["acme-serve"]["version"] == "1.0"
    assert "llama-server" in servers
    assert report["environment"]["versions"]["acme-serve"] == "1.0"


def test_a_test_runs_on_it_and_known_bugs_refer_to_its_package(project):
    """Started, asked and ended by the backend ``server``; its version is in the record."""
    (project.path / "declared/bugs.toml").write_text(BUG)
    (project.path / "test_mistake.py").write_text(MISTAKE)
    files = ("test_colours.py", "test_mistake.py")
    result = project.pytest("--declarations", "declared", "-k", "acme-serve", *files)
    result.assert_outcomes(passed=1, xfailed=1)
    with sqlite3.connect(project.path / "reports/results.sqlite") as database:
        records = "\n".join(database.iterdump())
    assert '"acme-serve": "1.0"' in records


def test_a_program_that_is_not_installed_is_named_with_those_that_are(project):
    """The declaration outlives the package."""
    shutil.rmtree(project.packages)
    result = project.pytest("--declarations", "declared", "test_colours.py")
    result.stderr.fnmatch_lines(["*'acme-serve', which is unknown: write one of 'llama.cpp'*"])


def test_a_program_that_does_not_import_is_left_out_and_the_rest_works(extended_project):
    """The doctor and pytest name it with its package, and what ships is there as without it."""
    files = files_of_section("A server program")
    init = "acme_serve/__init__.py"
    package = {"pyproject.toml": files["pyproject.toml"], init: "import no_such_library\n"}
    extended_project.add(package)
    result = extended_project.qualify("doctor")
    assert result.ret == 0
    assert "acme-serve 1.0 registers 'acme-serve' in" in " ".join(str(result.stdout).split())
    (extended_project.path / "test_colours.py").write_text(files["test_colours.py"])
    result = extended_project.pytest("--collect-only", "-m", "canary")
    assert result.ret == 0
    header = " ".join(str(result.stdout).split())
    assert re.search("acme-serve 1.0 registers 'acme-serve'.*no_such_library", header)
    result.stdout.fnmatch_lines(["*smolvlm-canary-f32@*"])
