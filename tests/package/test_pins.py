"""The pins fit together on every system and Python that the package is for."""

import os

import pytest

from qualification.core.paths import DECLARATIONS, PACKAGE
from qualification.upgrade.environments.interpreters import run
from qualification.upgrade.environments.uv import reason
from qualification.upgrade.environments.uv_program import uv_environment, uv_program

PLATFORMS = ("x86_64-manylinux_2_35", "aarch64-manylinux_2_35", "aarch64-apple-darwin")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


@pytest.mark.long
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", PYTHONS)
def test_the_pins_of_all_extras_resolve(platform, python):
    """By what an index says of each release; a wheel that is missing is named."""
    words = ("pip", "compile", "--quiet", "--output-file", os.devnull, "--all-extras")
    constraints = DECLARATIONS / "environments" / "constraints.txt"
    words += ("-c", str(constraints), "--python-platform", platform, "--python-version", python)
    # The oldest macOS that is promised; torch as the index has it, whatever this machine can use.
    variables = uv_environment() | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    variables.pop("UV_TORCH_BACKEND", None)
    process = run([str(uv_program()), *words, "pyproject.toml"], variables, folder=PACKAGE.parent)
    assert process.returncode == 0, f"{platform}, Python {python}: {reason(process.stderr)}"
