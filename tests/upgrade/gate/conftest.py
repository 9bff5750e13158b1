"""The gate's sentences without what the maps that ship say, which changes with each of them."""

import pytest

from qualification.models import release_advice
from qualification.upgrade.gate import wording


@pytest.fixture(autouse=True)
def without_maps(monkeypatch):
    """No map ships."""
    for module in (release_advice, wording):
        monkeypatch.setattr(module, "shipped_advice", lambda: ())
