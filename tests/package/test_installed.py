"""The wheel, installed without the checkout, qualifies from an empty folder and writes there."""

import json

import pytest

from qualification.core.backends import BACKENDS
from qualification.core.libraries import installed_version
from tests.package.places import Place

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not installed_version("uv"), reason="uv is not installed: pip install -e '.[dev]'"
    ),
]

INSTALLED = [
    name
    for name, spec in BACKENDS.items()
    if spec.principal and all(installed_version(library) for library in spec.principal)
]
CANARY = "smolvlm-canary-f32"
"""A model that every backend has a deployment of."""


def _modes(folder, mode):
    """Set the mode of a folder and of those below it."""
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        path.chmod(mode)


def _files(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(params=["plain", "read-only", "Mein Gerät 2"])
def place(request, tmp_path, wheel):
    """An environment with the wheel and the libraries of the backends that are installed here."""
    place = Place(tmp_path / request.param, is_read_only=request.param == "read-only")
    extras = f"[{','.join(INSTALLED)}]" if INSTALLED else ""
    place.install(f"qualification{extras} @ {wheel.as_uri()}")
    if place.is_read_only:
        _modes(place.bin.parent, 0o555)
        is_read_only = "import os, sys; sys.exit(os.access(sys.prefix, os.W_OK))"
        place.run("python", "-c", is_read_only)
    yield place
    _modes(place.bin.parent, 0o755)


def test_an_installed_package_qualifies_from_an_empty_folder_and_writes_there(place):
    """doctor, one canary for each installed backend, report; nothing is left anywhere else."""
    before = _files(place.site_packages)
    doctor = json.loads(place.run("python", "-m", "qualification", "doctor", "--json"))
    ready = {backend["name"] for backend in doctor["backends"] if backend["ready"]}
    assert ready >= set(INSTALLED)
    place.run("pytest", "-m", "canary and (load or quality) and not server", "-k", CANARY)
    place.run("qualify", "report")
    assert (place.work / "reports/results.sqlite").is_file()
    report = (place.work / "reports/latest/recommendations.md").read_text()
    assert all(f"{CANARY}@{backend}" in report for backend in INSTALLED)
    assert _files(place.site_packages) == before
    assert {name.partition("/")[0] for name in _files(place.home)} <= {".cache", "Library"}
    assert {name.partition("-of-")[0] for name in _files(place.temporary)} <= {"pytest"}
