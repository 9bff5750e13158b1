"""What the tests of the harness share."""

import pytest

pytest_plugins = ["pytester", "tests.support.toy_project", "tests.support.installed_extension"]


@pytest.fixture
def red():
    """A small red image."""
    from PIL import Image

    return Image.new("RGB", (8, 8), (215, 40, 40))
