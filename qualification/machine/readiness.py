"""Which backends can run here, and the command that installs one that cannot."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from qualification.core.backends import BACKENDS, BackendSpec
from qualification.core.libraries import install_command, installed_version, versions_among
from qualification.core.protocol import BackendName
from qualification.machine.host import Host, LocalHost


@dataclass(frozen=True)
class BackendReadiness:
    """Whether a backend can be tried here: its packages are installed, not proven to work.

    ``install_command`` is '' if the backend is ready, or if no installation would help.
    """

    name: BackendName
    ready: bool
    version: str
    install_command: str = ""
    note: str = ""


_LIBRARY_SPECS = tuple(spec for spec in BACKENDS.values() if spec.imports)
"""The backends that compute with a library in the worker's own process."""

_MLX_LINUX = ("mlx-cpu", "mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")


def backend_readiness(host: Host | None = None) -> tuple[BackendReadiness, ...]:
    """For each backend with a library: installed here or not, and the command that installs it.

    Decided by ``find_spec``, package metadata and the platform; imports none of them.
    """
    host = host or LocalHost()
    return tuple(_readiness(host, spec) for spec in _LIBRARY_SPECS)


def backends_absent_from(installed: Mapping[str, str]) -> tuple[BackendName, ...]:
    """Backends that lack a package among installed distributions (pip's name -> version)."""
    versions = versions_among(installed)
    return tuple(
        spec.name
        for spec in _LIBRARY_SPECS
        if not all(versions.get(package) for package in spec.imports.values())
    )


def _readiness(host: Host, spec: BackendSpec) -> BackendReadiness:
    version = installed_version(spec.leading)
    if spec.name == "mlx" and host.system == "macos" and host.architecture != "arm64":
        note = "MLX needs an Apple silicon Mac and a Python built for arm64, not under Rosetta"
        return BackendReadiness(spec.name, False, version, note=note)
    missing = sorted(
        package
        for module, package in spec.imports.items()
        if importlib.util.find_spec(module) is None
    )
    if (
        spec.name == "mlx"
        and host.system == "linux"
        and not any(map(installed_version, _MLX_LINUX))
    ):
        missing.append("mlx-cpu")  # without it the package installs and does not import
    if not missing:
        return BackendReadiness(spec.name, True, version)
    note = f"not installed: {', '.join(missing)}"
    return BackendReadiness(spec.name, False, version, install_command(spec.name), note)
