"""A package from outside, as a page shows it: built, installed with real metadata, and used.

The page's fenced blocks begin with a comment that names their file (``# acme_toy/__init__.py``).
``pyproject.toml`` and the folders that have an ``__init__.py`` are the package; every other file
belongs to the project of the package's user.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from qualification.core.paths import PACKAGE

Files = tuple[tuple[str, str], ...]
"""Names of files and their texts."""

_BLOCK = re.compile(r"^```\w+\n# ([\w./-]+\.\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def files_of_section(heading: str, page: str = "extending.md") -> dict[str, str]:
    """The files that a section of a page of docs/ shows: name -> text.

    A section reaches from its heading (``A server program``) to the next one of its own level or
    of a higher one.
    """
    text = (PACKAGE.parent / "docs" / page).read_text(encoding="utf-8")
    start = re.search(f"^(##+) {re.escape(heading)}$", text, re.MULTILINE)
    assert start, f"{page} has no section {heading!r}"
    following = re.compile(f"^#{{2,{len(start[1])}}} ", re.MULTILINE).search(text, start.end())
    files = dict(_BLOCK.findall(text[start.end() : following.start() if following else len(text)]))
    assert files, f"{page}, section {heading!r}: no fenced block begins with the name of its file"
    return files


def install(files: dict[str, str], source: Path, target: Path) -> None:
    """Build the package of ``files`` in ``source``, and install it into the folder ``target``."""
    write(files, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", target, source]
    subprocess.run(command, check=True)


def write(files: dict[str, str], folder: Path) -> None:
    """Write files with their folders."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class ExtendedProject:
    """A project in an empty folder, and an interpreter with this one's packages and others."""

    def __init__(
        self, pytester: pytest.Pytester, environment: Path, installed: Callable[[Files], Path]
    ) -> None:
        self.path = pytester.path
        self.packages = environment / "lib/packages"
        self._pytester = pytester
        self._environment = environment
        self._installed = installed
        venv.create(environment)
        site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
        paths = [PACKAGE.parent, sysconfig.get_path("purelib"), self.packages]
        (site / "packages.pth").write_text("\n".join(map(str, paths)), encoding="utf-8")

    def add(self, files: dict[str, str]) -> None:
        """Install the package among ``files``, and write the others into the project."""
        folders = {name.split("/")[0] for name in files if name.endswith("/__init__.py")}
        package = {
            name: text
            for name, text in files.items()
            if name == "pyproject.toml" or name.split("/")[0] in folders
        }
        if package:
            installed = self._installed(tuple(package.items()))
            shutil.copytree(installed, self.packages, dirs_exist_ok=True)
        write({name: text for name, text in files.items() if name not in package}, self.path)

    def pytest(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in the project."""
        return self._run("pytest", *arguments)

    def qualify(self, *arguments: str) -> pytest.RunResult:
        """Run the command ``qualify`` in the project."""
        return self._run("qualification", *arguments)

    def _run(self, *words: str) -> pytest.RunResult:
        return self._pytester.run(self._environment / "bin/python", "-m", *words)


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """``installed(files)``: the folder in which their package is; each is built once."""

    @functools.cache
    def build(files: Files) -> Path:
        folder = tmp_path_factory.mktemp("package")
        install(dict(files), folder / "source", folder / "installed")
        return folder / "installed"

    return build


@pytest.fixture
def extended_project(request, pytester, monkeypatch, tmp_path_factory, installed):
    """Nothing of the caller's environment reaches the project's programs.

    Its environment lies outside of it, or where the parameter says (``.venv``).
    """
    for name in [*os.environ]:
        is_ours = name.startswith("QUALIFY_") and name != "QUALIFY_LOCKS"
        if is_ours or name.startswith("PYTEST_XDIST_") or name == "PYTHONPATH":
            monkeypatch.delenv(name)
    inside = getattr(request, "param", None)
    environment = pytester.path / inside if inside else tmp_path_factory.mktemp("environment")
    return ExtendedProject(pytester, environment, installed)
