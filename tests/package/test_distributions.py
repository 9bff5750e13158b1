"""What the wheel and the sdist hold."""

import configparser
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from qualification.core.paths import DECLARATIONS, PACKAGE

pytestmark = pytest.mark.slow

ROOT = PACKAGE.parent
MAPPED = {
    "qualification": "qualification",
    "fixtures/canaries": "qualification/canaries",
    "baselines/published": "qualification/published",
}


def files(folder):
    """The files below a folder, relative to it, without Python's caches."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def members(wheel):
    """Name -> content of every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_from_the_sdist_holds_every_file_that_is_read_at_run_time(members):
    """Modules, suites, templates, declarations; canaries and published claims, mapped in."""
    expected = {
        f"{target}/{name}" for source, target in MAPPED.items() for name in files(ROOT / source)
    }
    assert {name for name in members if ".dist-info/" not in name} == expected
    for name in ("declarations/environments/constraints.txt", "documents/assets/document.css"):
        assert f"qualification/{name}" in expected


def test_the_wheel_has_its_licence_its_command_and_its_plugin(members, wheel):
    """And is not larger than an index takes."""
    (info,) = {name.partition("/")[0] for name in members if ".dist-info/" in name}
    assert members[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    entry_points = configparser.ConfigParser()
    entry_points.read_string(members[f"{info}/entry_points.txt"].decode())
    assert entry_points["console_scripts"]["qualify"] == "qualification.cli:main"
    assert entry_points["pytest11"]["qualification"] == "qualification.pytest_plugin"
    assert wheel.stat().st_size <= 60e6


def test_the_sdist_holds_what_builds_tests_and_documents(distributions):
    """Without what a run writes."""
    with tarfile.open(next(distributions.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "LICENSE", "Makefile", "docs/index.md", "tests/conftest.py"} <= names
    assert not any(name.startswith(("reports", ".venv", "build")) for name in names)


def test_an_index_takes_both(distributions):
    """``twine check --strict``."""
    pytest.importorskip("twine", reason="pip install -e '.[dev]'")
    command = (sys.executable, "-m", "twine", "check", "--strict", *distributions.iterdir())
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_requirement_has_a_pin_that_its_range_allows(members):
    """The constraints and pyproject.toml agree, and no range is without its lower bound."""
    lines = (DECLARATIONS / "environments/constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    releases = {pin.name: next(iter(pin.specifier)).version for pin in pins}
    metadata = next(content for name, content in members.items() if Path(name).name == "METADATA")
    for line in metadata.decode().splitlines():
        if line.startswith("Requires-Dist: "):
            requirement = Requirement(line.removeprefix("Requires-Dist: "))
            assert requirement.specifier.contains(releases[canonicalize_name(requirement.name)])
            is_tool = "extra == 'dev'" in line or 'extra == "dev"' in line
            assert is_tool or {clause.operator for clause in requirement.specifier} == {">="}
