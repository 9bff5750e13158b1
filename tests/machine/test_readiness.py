"""Which backends are ready, which packages are missing, and the command that installs them."""

from __future__ import annotations

import pytest

from qualification.core.backends import BACKENDS
from qualification.machine import readiness
from qualification.machine.readiness import backend_readiness, backends_absent_from
from tests.support.recorded_host import RecordedHost


def test_a_missing_backend_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A backend whose packages are installed is ready, with its version."""
    installed = {"torch", "torchvision", "transformers"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in installed or None)
    monkeypatch.setattr(
        readiness, "installed_version", lambda name: "1.0" if name == "torch" else ""
    )
    mlx, torch, llamacpp = backend_readiness(RecordedHost("linux_2_cores_24gb"))
    assert (torch.ready, torch.version, torch.install_command) == (True, "1.0", "")
    assert (mlx.ready, mlx.install_command) == (False, "pip install 'qualification[mlx]'")
    assert mlx.note == "not installed: mlx, mlx-vlm, mlx-cpu"
    assert (llamacpp.ready, llamacpp.install_command) == (
        False,
        "pip install 'qualification[llamacpp]'",
    )


def test_mlx_on_linux_is_not_ready_without_its_cpu_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the build the package installs, is found, and fails at import."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(
        readiness, "installed_version", lambda name: "" if "mlx-c" in name else "1.0"
    )
    assert backend_readiness(RecordedHost("linux_2_cores_24gb"))[0].note == "not installed: mlx-cpu"
    assert backend_readiness(RecordedHost("air_m4_32gb"))[0].ready


def test_mlx_under_rosetta_is_not_ready_and_no_command_would_help() -> None:
    """An x86_64 Python on a Mac."""
    mlx = backend_readiness(RecordedHost("air_m4_32gb", architecture="x86_64"))[0]
    assert (mlx.ready, mlx.install_command) == (False, "")
    assert "arm64" in mlx.note


def test_backends_without_a_library_are_not_reported() -> None:
    """A server's programs have a table of their own, and the scripted fake needs nothing."""
    names = [backend.name for backend in backend_readiness(RecordedHost("linux_2_cores_24gb"))]
    assert names == [name for name, spec in BACKENDS.items() if spec.imports]


@pytest.mark.parametrize("missing", sorted(BACKENDS["torch"].imports.values()))
def test_an_environment_lacks_a_backend_if_it_lacks_one_package_of_it(missing: str) -> None:
    """Distributions are compared as pip normalises their names."""
    packages = {name: "1.0" for spec in BACKENDS.values() for name in spec.imports.values()}
    installed = {name.upper().replace("-", "_"): version for name, version in packages.items()}
    assert backends_absent_from(installed) == ()
    del installed[missing.upper()]
    assert backends_absent_from(installed) == ("torch",)
