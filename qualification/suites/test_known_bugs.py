"""Known nuisances that no other suite would notice; see declarations/bugs.toml."""

import pytest

pytestmark = [pytest.mark.known_bugs, pytest.mark.owned]


def test_load_prints_no_deprecation_warning(deployed):
    """Loading does not warn that TRANSFORMERS_CACHE is deprecated."""
    _refuse(deployed.log(), "Using `TRANSFORMERS_CACHE` is deprecated")


def test_load_prints_no_fast_processor_warning(deployed):
    """Loading does not warn that a fast processor is used by default."""
    _refuse(deployed.log(), "loaded as a fast processor by default")


def _refuse(log, words):
    """Fail with the line itself: pytest would shorten the log around the words."""
    lines = [line for line in log.splitlines() if words in line]
    if lines:
        pytest.fail(lines[0], pytrace=False)
