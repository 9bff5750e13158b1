"""The wheel, installed without the checkout, qualifies from an empty folder and writes there."""

import ctypes
import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from qualification.core.backends import BACKENDS
from qualification.core.libraries import installed_version
from qualification.core.paths import cache

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


@dataclass
class Place:
    """An environment with the wheel, an empty folder to work in, and a home of its own.

    ``is_read_only``: whether no process that is started here may write into the environment.
    """

    root: Path
    is_read_only: bool = False

    def __post_init__(self):
        for folder in (self.work, self.home, self.temporary):
            folder.mkdir(parents=True)

    @property
    def work(self):
        return self.root / "empty"

    @property
    def home(self):
        return self.root / "home"

    @property
    def temporary(self):
        return self.root / "tmp"

    @property
    def bin(self):
        return self.root / "environment/bin"

    @property
    def site_packages(self):
        return next((self.root / "environment/lib").glob("python*/site-packages"))

    def install(self, *requirements):
        """Install with uv, which links from its cache; the releases are those installed here."""
        uv = (sys.executable, "-m", "uv")
        _run([*uv, "venv", "--quiet", "--python", sys.executable, self.bin.parent])
        constraints = self.root / "constraints.txt"
        # uv reads no configuration of pip; with the exact builds it never takes a CUDA torch.
        releases = {d.name: d.version for d in importlib.metadata.distributions()}
        releases.pop("qualification")
        constraints.write_text("\n".join(f"{name}=={releases[name]}" for name in releases))
        links = [f"--find-links={folder}" for folder in _folders_of_wheels()]
        install = ("pip", "install", "--quiet", "--python", self.bin / "python")
        _run([*uv, *install, "--constraints", constraints, *links, *requirements])

    def run(self, *command):
        """Start one of the environment's programs in the empty folder."""
        variables = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": self.home}
        return _run(
            [self.bin / command[0], *command[1:]],
            cwd=self.work,
            env=variables | {"TMPDIR": self.temporary, "QUALIFY_RESULTS": ""},
            preexec_fn=_obey_permissions if self.is_read_only else None,
        )


def _run(command, **more):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **more
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def _folders_of_wheels():
    """Where pip and CI find wheels that no index has."""
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    folders = [*configured.split(), *os.environ.get("PIP_FIND_LINKS", "").split()]
    return [*dict.fromkeys(folders), *filter(Path.is_dir, [cache() / "wheels"])]


def _obey_permissions():
    """Let the program of this process obey modes of files even if it is root's (Linux)."""
    if sys.platform == "linux":
        drop_capability, may_override_modes = 24, 1
        ctypes.CDLL(None).prctl(drop_capability, may_override_modes, 0, 0, 0)


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
