"""Which backends can run here, and what to do about those that cannot."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

from qualification.core.libraries import (
    install_command,
    installed_version,
    versions_among,
)
from qualification.core.protocol import BackendName
from qualification.machine.host import Host, LocalHost


@dataclass(frozen=True)
class BackendReadiness:
    """Whether a backend can be tried here: what it needs is installed, not seen to work.

    ``install_command`` is '' when it is ready, or when nothing would help.
    """

    name: BackendName
    ready: bool
    version: str
    install_command: str = ""
    note: str = ""


_NEEDS: tuple[tuple[BackendName, str, dict[str, str]], ...] = (
    ("mlx", "mlx-vlm", {"mlx": "mlx", "mlx_vlm": "mlx-vlm"}),
    (
        "torch",
        "torch",
        {"torch": "torch", "torchvision": "torchvision", "transformers": "transformers"},
    ),
    ("llamacpp", "llama-cpp-python", {"llama_cpp": "llama-cpp-python"}),
)

_MLX_LINUX = ("mlx-cpu", "mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")


def backend_readiness(host: Host | None = None) -> tuple[BackendReadiness, ...]:
    """For mlx, torch and llamacpp: installed here or not, and the command that installs it.

    Decided by ``find_spec``, package metadata and the platform; imports none of them.
    """
    host = host or LocalHost()
    return tuple(_readiness(host, *needs) for needs in _NEEDS)


def backends_absent_from(installed: Mapping[str, str]) -> tuple[BackendName, ...]:
    """Backends of which an environment lacks a package; its distributions as pip names them."""
    absent = []
    for backend, _, modules in _NEEDS:
        versions = versions_among(installed)
        if not all(versions.get(package) for package in modules.values()):
            absent.append(backend)
    return tuple(absent)


def _readiness(
    host: Host, backend: BackendName, leading: str, modules: dict[str, str]
) -> BackendReadiness:
    version = installed_version(leading)
    if backend == "mlx" and host.system == "macos" and host.architecture != "arm64":
        note = "MLX needs an Apple silicon Mac and a Python built for arm64, not under Rosetta"
        return BackendReadiness(backend, False, version, note=note)
    missing = [
        package for module, package in modules.items() if importlib.util.find_spec(module) is None
    ]
    if backend == "mlx" and host.system == "linux" and not any(map(installed_version, _MLX_LINUX)):
        missing.append("mlx-cpu")  # without it the package installs and does not import
    if not missing:
        return BackendReadiness(backend, True, version)
    note = f"not installed: {', '.join(missing)}"
    return BackendReadiness(backend, False, version, install_command(backend), note)
