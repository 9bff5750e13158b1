"""Where the package's own files and the user's caches are, one function each.

The user's project, with results, baselines and reports, is in ``core/project.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of the package."""

DECLARATIONS = PACKAGE / "declarations"
"""The declarations that ship with the package."""


def is_checkout() -> bool:
    """Whether the package lies in a checkout of this project, and not in an installed wheel."""
    return (PACKAGE.parent / "fixtures/make_canaries").is_dir()


def advice(in_checkout: str, installed: str) -> str:
    """The clause that is true here: an installed package has no Makefile and no ``fixtures``."""
    return in_checkout if is_checkout() else installed


def how_to_restore(path: Path) -> str:
    """What brings back a file that is missing or damaged, for the end of a sentence."""
    if not path.is_relative_to(canaries()):
        return "correct the path that its declaration names, or put it there"
    return advice(
        "restore it with: git checkout -- fixtures/canaries",
        "restore it with: pip install --force-reinstall --no-deps qualification",
    )


def canaries() -> Path:
    """The canaries that ship: in the package, or in ``fixtures`` of a checkout."""
    return _shipped("canaries", "fixtures/canaries")


def published_claims() -> Path:
    """The published documents that ship: in the package, or in ``baselines`` of a checkout."""
    return _shipped("published", "baselines/published")


def cache() -> Path:
    """The folder for large files that can be made again: ``QUALIFY_CACHE``, or the user's cache."""
    if named := os.environ.get("QUALIFY_CACHE"):
        return from_user(named).resolve()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/qualification"
    return _expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "qualification"


def locks() -> Path:
    """The folder of the lock of whoever measures: ``QUALIFY_LOCKS``, or that of the caches."""
    named = os.environ.get("QUALIFY_LOCKS")
    return from_user(named).resolve() if named else cache()


def from_user(path: str) -> Path:
    """A path as a user writes it, with ``~`` expanded; ``~name`` of nobody known stays as it is."""
    return Path(os.path.expanduser(path))


def llama_tools_folder(release: str) -> Path:
    """Where ``make llama-tools`` keeps the programs of a release of llama-cpp-python."""
    return cache() / "llama.cpp" / release


def hub_cache(environment: Mapping[str, str] | None = None) -> Path:
    """Where huggingface_hub keeps snapshots, by its own rules.

    ``HF_HUB_CACHE``, else ``hub`` in ``HF_HOME``, else in the user's cache folder; ``~`` and
    variables are expanded, and an empty variable is the working folder, as there. Source:
    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    environment = os.environ if environment is None else environment
    user = environment.get("XDG_CACHE_HOME", "~/.cache")
    home = environment.get("HF_HOME", os.path.join(user, "huggingface"))
    legacy = environment.get("HUGGINGFACE_HUB_CACHE", os.path.join(home, "hub"))
    return _expanded(environment.get("HF_HUB_CACHE", legacy))


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    """The build maps top-level folders of a checkout into the package (``pyproject.toml``)."""
    folder = PACKAGE.parent / in_checkout
    return folder if is_checkout() else PACKAGE / in_wheel


def _expanded(path: str) -> Path:
    return Path(os.path.expandvars(from_user(path)))
