"""The distributions of this project, built once for the tests of the package."""

import subprocess
import sys

import pytest

from qualification.core.paths import PACKAGE


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The folder with the sdist of this checkout and with the wheel that was built from it."""
    pytest.importorskip("build", reason="pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    # Without isolation: the build backend of the constraints, and no network.
    command = (sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, PACKAGE.parent)
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="session")
def wheel(distributions):
    """The wheel."""
    return next(distributions.glob("*.whl"))
