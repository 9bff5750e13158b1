"""Known nuisances that no other suite would notice; see declarations/bugs.toml."""

import pytest

pytestmark = pytest.mark.known_bugs


def test_load_prints_no_deprecation_warning(deployed):
    """Loading does not warn that TRANSFORMERS_CACHE is deprecated."""
    assert "Using `TRANSFORMERS_CACHE` is deprecated" not in deployed.log()


def test_load_prints_no_fast_processor_warning(deployed):
    """Loading does not warn that a fast processor is used by default."""
    assert "fast processor by default" not in deployed.log()
