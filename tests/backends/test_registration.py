"""A backend is one folder and one line: the example of docs/extending.md, on a copy of the code."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import pytest

from qualification.core.paths import PACKAGE

PAGE = (PACKAGE.parent / "docs/extending.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("### Registration") : PAGE.index("## A server program")]
BLOCKS = re.findall(r"```(?:python|text|toml)\n(.*?)```", SECTION, re.DOTALL)
FOLDER, LINE, MODELS = BLOCKS
SUITE = """
def test_colours(deployed):
    from PIL import Image

    assert deployed.identifier == "colours-bf16@toy"
    assert deployed.ask("What?", Image.new("RGB", (8, 8), "red")) == "red"
    assert deployed.ask("What?", Image.new("RGB", (8, 8), "lime")) == "lime"
    assert len(deployed.generate("What?", max_tokens=9, fixed_length=True).token_times_s) == 9
    assert deployed.load_report.page_cache in ("warm", "cold", "unknown")
    assert deployed.memory().peak_memory_bytes > 1_000_000
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def project(pytester, monkeypatch):
    """A project whose package has the backend of the page, and a model on it."""
    package = pytester.path / "source/qualification"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "backends/toy").mkdir()
    (package / "backends/toy/__init__.py").write_text(FOLDER, encoding="utf-8")
    table = package / "core/backends.py"
    text = table.read_text(encoding="utf-8")
    entry = '    BackendSpec("fake", "qualification.backends.fake"),\n'
    assert LINE.count("\n") == text.count(entry) == 1
    table.write_text(text.replace(entry, entry + LINE), encoding="utf-8")

    declared = pytester.mkdir("declared")
    (declared / "models.toml").write_text(MODELS)
    for name in ("tiers", "chips", "bugs"):
        (declared / f"{name}.toml").write_text(f"{name} = []\n")
    weights = pytester.path / "fixtures/canaries/colours"
    shutil.copytree(PACKAGE.parent / "fixtures/canaries/smolvlm", weights)
    (weights / "config.json").write_text(json.dumps({"colours": ["red", "lime", "blue"]}))
    digest = hashlib.sha256((weights / "config.json").read_bytes()).hexdigest()
    manifest = {"canaries": {"colours": {"files": [{"path": "config.json", "sha256": digest}]}}}
    (weights.parent / "manifest.json").write_text(json.dumps(manifest))
    pytester.makepyfile(test_suite=SUITE)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("QUALIFY_HOME", str(pytester.path))
    for name in ("QUALIFY_RESULTS", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    return pytester


def run(project, *arguments):
    """pytest with the plugin of the copy."""
    options = ("--declarations", project.path / "declared")
    return project.runpytest_subprocess(*options, "-ra", *arguments, "test_suite.py")


def test_a_registered_backend_is_probed(project):
    """The doctor reports it as ready, with the version of its library."""
    doctor = subprocess.run(
        [sys.executable, "-m", "qualification", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=project.path,
    )
    backends = {entry["name"]: entry for entry in json.loads(doctor.stdout)["backends"]}
    assert backends["toy"]["ready"] is True
    assert backends["toy"]["version"]


def test_a_registered_backend_is_loaded_and_asked_through_a_worker(project):
    """Under its marker, and under no other backend's."""
    result = run(project, "-m", "toy", "--strict-markers")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["colours-bf16@toy *"])
    assert run(project, "-m", "fake").ret == pytest.ExitCode.NO_TESTS_COLLECTED
