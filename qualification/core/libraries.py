"""The libraries whose versions are part of every record, and their installed versions."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

LIBRARIES = (
    "mlx",
    "mlx-vlm",
    "mlx-lm",
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "llama-cpp-python",
    "huggingface_hub",
    "numpy",
    "pillow",
)


def installed_version(distribution: str) -> str:
    """The version of a distribution in this interpreter, '' where absent; nothing is imported."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def install_command(backend: str) -> str:
    """What installs a backend's library, typed in the project's root."""
    return f".venv/bin/pip install -e '.[{backend}]'"


def library_versions() -> dict[str, str]:
    """Version of each of :data:`LIBRARIES` in this interpreter, '' where absent."""
    return {name: installed_version(name) for name in LIBRARIES}


def versions_among(installed: Mapping[str, str]) -> dict[str, str]:
    """Version of each of :data:`LIBRARIES` among installed distributions, '' where absent."""
    by_name = {_normal(name): version for name, version in installed.items()}
    return {name: by_name.get(_normal(name), "") for name in LIBRARIES}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
