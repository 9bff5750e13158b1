"""A cache of environments and the wheels that they are made of."""

import os

import pytest

from tests.support.tiny_environments import write_wheels
from tests.support.tiny_wheels import only


@pytest.fixture(scope="package")
def wheels(tmp_path_factory):
    """The folder of the tiny wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    write_wheels(folder)
    return folder


@pytest.fixture(scope="package")
def root(tmp_path_factory):
    """A cache that the tests share."""
    return tmp_path_factory.mktemp("cache") / "environments"


@pytest.fixture(autouse=True)
def no_other_wheels(root, wheels, monkeypatch):
    """An installer sees the tiny wheels only; the user's configuration is out of sight."""
    monkeypatch.setenv("QUALIFY_CACHE", str(root.parent))
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name, value in only(wheels).items():
        monkeypatch.setenv(name, value)
