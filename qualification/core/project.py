"""The user's project: where results, baselines and reports go, and which declarations hold there.

A project is a folder. Its ``pyproject.toml`` may say::

    [tool.qualification]
    declarations = "declared"            # a folder, relative to the file
    results = "measured/results.sqlite"  # a file, relative to it, or any SQLAlchemy URL
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qualification.core.errors import DeclarationError
from qualification.core.files import make_folder
from qualification.core.paths import PACKAGE, from_user

_ALWAYS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
_KEYS = ("declarations", "results")


@dataclass(frozen=True)
class Project:
    """``declarations`` is the user's folder, None without one; ``results`` a SQLAlchemy URL."""

    root: Path
    results: str = field(repr=False)
    declarations: Path | None = None

    @property
    def baselines(self) -> Path:
        """The folder of the accepted sessions."""
        return self.root / "baselines"

    @property
    def sessions(self) -> Path:
        """The folder of the journals of runs whose results are not stored yet."""
        file = self._results_file
        return (self.reports if file is None else file.parent) / "sessions"

    @property
    def reports(self) -> Path:
        """The folder of all documents that are made here."""
        return self.root / "reports"

    def with_options(
        self, *, declarations: Path | str | None = None, results: str | None = None
    ) -> Project:
        """The project with what the command line names; ``None`` and '' change nothing.

        Both are relative to the working folder. Raises DeclarationError for results that are
        neither a file nor a URL.
        """
        folder = from_user(str(declarations)).absolute() if declarations else self.declarations
        url = database_url(results, Path.cwd()) if results else self.results
        return dataclasses.replace(self, declarations=folder, results=url)

    def why_results_are_refused(self) -> str:
        """A sentence where results would be lost, or lie in an installed package; else ''.

        The folder of the database is made if it is not there.
        """
        file = self._results_file
        if file is None:
            return ""
        remedy = "name another place with --results or QUALIFY_RESULTS, or start in another folder"
        if file.is_relative_to(PACKAGE) or "site-packages" in file.parts:
            return f"{file}: lies in an installed package, so no result goes there; {remedy}"
        if reason := _why_not_written(file):
            return f"{file}: cannot be written ({reason}), so every result would be lost; {remedy}"
        return ""

    @property
    def _results_file(self) -> Path | None:
        """The SQLite file of the URL; None for a server, a file's URI, memory and 'none'."""
        place = self.results.removeprefix("sqlite:///")
        if place == self.results or place.startswith((":memory:", "file:")):
            return None
        return Path(place)


def _why_not_written(file: Path) -> str:
    """Why a file cannot be written, '' where it can; its folder is made if it is not there."""
    try:
        make_folder(file.parent)
        with tempfile.TemporaryFile(dir=file.parent):
            is_writable = not file.exists() or os.access(file, os.W_OK)
    except OSError as error:
        return error.strerror or str(error)
    return "" if is_writable else "it is read-only"


def find_project(start: Path | None = None) -> Project:
    """The project of ``QUALIFY_HOME``, else the one that the working folder lies in.

    Raises DeclarationError for a ``[tool.qualification]`` that cannot be read.
    """
    return project_at(root_folder(Path.cwd() if start is None else start))


def project_at(root: Path) -> Project:
    """The project with this root, unless ``QUALIFY_HOME`` names another one."""
    if named := os.environ.get("QUALIFY_HOME"):
        root = from_user(named).resolve()
    settings = _settings(root / "pyproject.toml")
    folder = settings.get("declarations")
    url = os.environ.get("QUALIFY_RESULTS") or settings.get("results")
    return Project(
        root,
        database_url(url, root) if url else f"sqlite:///{root / 'reports/results.sqlite'}",
        None if folder is None else root / from_user(folder),
    )


def has_settings(root: Path) -> bool:
    """Whether the folder's ``pyproject.toml`` can be read and has ``[tool.qualification]``."""
    try:
        tool = _table(root / "pyproject.toml").get("tool")
    except DeclarationError:
        return False
    return isinstance(tool, dict) and "qualification" in tool


def database_url(text: str, folder: Path) -> str:
    """A SQLAlchemy URL as it is; a path becomes that of an SQLite file, relative to ``folder``.

    Raises DeclarationError for a NUL byte, and for a URL with a typing error, which would become a
    folder that has a password for its name.
    """
    if "\0" in text:
        raise DeclarationError(
            "the name of the results database has a NUL byte, which no file's name can have: write "
            "it without"
        )
    if text == "none" or "://" in text:
        return text
    if re.match(r"[^/.~].*:.*@", text):
        raise DeclarationError(
            "the results database is neither a file nor a URL (its value is not shown, because it "
            "may hold a password): write it as postgresql://user:password@host/name"
        )
    return f"sqlite:///{folder / from_user(text)}"


def root_folder(start: Path) -> Path:
    """The folder that pytest, started in ``start`` without a path, takes as its rootdir.

    Source: https://docs.pytest.org/en/stable/reference/customize.html#finding-the-rootdir
    """
    start = start.absolute()
    folders = (start, *start.parents)
    for folder in folders:
        if _configures_pytest(folder):
            return folder
    for name in ("pyproject.toml", "setup.py"):
        for folder in folders:
            if (folder / name).is_file():
                return folder
    return start


def _configures_pytest(folder: Path) -> bool:
    if any((folder / name).is_file() for name in _ALWAYS):
        return True
    tool = _table(folder / "pyproject.toml").get("tool")
    if isinstance(tool, dict) and "pytest" in tool:
        return True
    return _has_section(folder / "tox.ini", "pytest") or _has_section(
        folder / "setup.cfg", "tool:pytest"
    )


def _table(file: Path) -> dict[str, Any]:
    """A TOML file's content; {} where there is none.

    Raises DeclarationError for a file that is damaged.
    """
    if not file.is_file():
        return {}
    import tomllib  # costs a tenth of what the plugin may add to pytest's start

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeclarationError(f"{file}: cannot be read as TOML: {error}; correct it") from error


def _has_section(file: Path, name: str) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return re.search(rf"^\[{re.escape(name)}\]", text, re.MULTILINE) is not None


def _settings(file: Path) -> dict[str, str]:
    tool = _table(file).get("tool")
    settings = tool.get("qualification", {}) if isinstance(tool, dict) else {}
    if not isinstance(settings, dict):
        raise DeclarationError(
            f"{file}: tool.qualification is no table: write [tool.qualification]"
        )
    for key, value in settings.items():
        if key not in _KEYS:
            raise DeclarationError(
                f"{file}: [tool.qualification] has the unknown key {key!r}: known keys are "
                f"{' and '.join(_KEYS)}"
            )
        if not isinstance(value, str) or not value:
            raise DeclarationError(f"{file}: [tool.qualification] {key} is no text: write a path")
    return settings
