"""What the tests of the harness share."""

import contextlib

# pytester forgets what a test imports, and these two load only once.
import numpy  # noqa: F401
import pytest
from hypothesis import settings

with contextlib.suppress(ImportError):
    import psycopg  # noqa: F401

settings.register_profile("harness", deadline=None)  # the machine may have other work
settings.load_profile("harness")
pytest_plugins = ["pytester", "tests.support.toy_project", "tests.support.installed_extension"]


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory):
    """Processes of the tests do not wait for each other, nor for what the user measures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUALIFY_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture
def red():
    """A small red image."""
    from PIL import Image

    return Image.new("RGB", (8, 8), (215, 40, 40))
