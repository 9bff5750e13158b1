"""Where things lie: one root with fixtures/, baselines/ and reports/, found once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package."""

DECLARATIONS = PACKAGE / "declarations"
"""The declarations that ship with the package."""


def home() -> Path:
    """The project's root: ``QUALIFY_HOME``, or the folder that holds this package."""
    named = os.environ.get("QUALIFY_HOME")
    return Path(named).resolve() if named else PACKAGE.parent


def results_url() -> str:
    """The results database: ``QUALIFY_RESULTS`` (any SQLAlchemy URL), or a file in reports/."""
    return os.environ.get("QUALIFY_RESULTS") or f"sqlite:///{home() / 'reports/results.sqlite'}"


def cache() -> Path:
    """Large files that can be made again: ``QUALIFY_CACHE``, or the user's cache folder."""
    if named := os.environ.get("QUALIFY_CACHE"):
        return Path(named).resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/qualification"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qualification"
