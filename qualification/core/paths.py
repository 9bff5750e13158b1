"""Where files are: the package, the project, the results and the caches, one function each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package."""

DECLARATIONS = PACKAGE / "declarations"
"""The declarations that ship with the package."""


def home() -> Path:
    """The project's root: ``QUALIFY_HOME``, or the folder that holds this package."""
    named = os.environ.get("QUALIFY_HOME")
    return Path(named).expanduser().resolve() if named else PACKAGE.parent


def results_url() -> str:
    """The results database: ``QUALIFY_RESULTS`` (any SQLAlchemy URL), or a file in reports/."""
    return os.environ.get("QUALIFY_RESULTS") or f"sqlite:///{home() / 'reports/results.sqlite'}"


def cache() -> Path:
    """The folder for large files that can be made again: ``QUALIFY_CACHE``, or the user's cache."""
    if named := os.environ.get("QUALIFY_CACHE"):
        return Path(named).expanduser().resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/qualification"
    return _user_cache(os.environ) / "qualification"


def llama_tools_folder(release: str) -> Path:
    """Where ``make llama-tools`` keeps the programs of a release of llama-cpp-python."""
    return cache() / "llama.cpp" / release


def hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """Where huggingface_hub keeps snapshots, by its documented rules.

    ``HF_HUB_CACHE``, else ``hub`` in ``HF_HOME``, else in the user's cache folder; ``~`` and
    variables are expanded as there. Source:
    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    environment = os.environ if environment is None else environment
    if named := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return _expanded(named)
    if named := environment.get("HF_HOME"):
        return _expanded(named) / "hub"
    return _user_cache(environment) / "huggingface/hub"


def _user_cache(environment: Mapping[str, str]) -> Path:
    """``XDG_CACHE_HOME``, or ``~/.cache``."""
    return _expanded(environment.get("XDG_CACHE_HOME") or "~/.cache")


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(os.path.expanduser(path)))
