"""The libraries whose versions are part of every record, and their installed versions."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping

from qualification.core.backends import BACKENDS, ENGINES, is_shipped
from qualification.core.servers import outside_programs

PRINCIPAL_LIBRARIES = tuple(
    dict.fromkeys(name for spec in ENGINES.values() for name in spec.principal)
)
"""The distributions that compute or that make the prompt, of all engines."""

LIBRARIES = tuple(
    dict.fromkeys(
        (*PRINCIPAL_LIBRARIES, *(name for spec in ENGINES.values() for name in spec.beside))
    )
)
"""Every distribution of an engine whose version is recorded, in the order in which they are shown.

Those of server programs that other packages register are recorded too.
"""


def installed_version(distribution: str) -> str:
    """The version of a distribution in this interpreter, '' if absent; nothing is imported."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def release_name(distribution: str, version: str) -> str:
    """``xllamacpp 2026.9.10809 (llama.cpp b10809)``: a release, with the engine's build in it.

    xllamacpp's releases since 2026 have YEAR.MONTH.BUILD for a version, the older ones do not say.
    """
    build = re.fullmatch(r"20\d\d\.\d+\.(\d+)(\.\d+)?", version)
    inside = f" (llama.cpp b{build[1]})" if distribution == "xllamacpp" and build else ""
    return f"{distribution} {version}{inside}"


def install_command(backend: str) -> str:
    """The command that installs a backend's library beside this package."""
    if backend in BACKENDS and not is_shipped(backend):
        return f"pip install {' '.join(BACKENDS[backend].imports.values())}"
    return f"pip install 'qualification[{backend}]'"


def library_versions() -> dict[str, str]:
    """Version of each recorded distribution in this interpreter, '' if absent."""
    return {name: installed_version(name) for name in _recorded()}


def versions_among(installed: Mapping[str, str]) -> dict[str, str]:
    """Version of each recorded distribution among installed ones, '' if absent."""
    by_name = {_normal(name): version for name, version in installed.items()}
    return {name: by_name.get(_normal(name), "") for name in _recorded()}


def _recorded() -> tuple[str, ...]:
    programs = (p.package for p in outside_programs().values() if p.version is None)
    return tuple(dict.fromkeys((*LIBRARIES, *programs)))


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")
