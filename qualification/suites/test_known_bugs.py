"""Are known nuisances present that no other suite would notice? See declarations/bugs.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed

pytestmark = [
    pytest.mark.suite("known_bugs", "known nuisances that no other suite would notice"),
    pytest.mark.managed,
]


def test_load_prints_no_deprecation_warning(deployed: Deployed) -> None:
    """Loading does not warn that TRANSFORMERS_CACHE is deprecated."""
    _assert_absent(deployed.log(), "Using `TRANSFORMERS_CACHE` is deprecated")


def test_load_prints_no_fast_processor_warning(deployed: Deployed) -> None:
    """Loading does not warn that a fast processor is used by default."""
    _assert_absent(deployed.log(), "loaded as a fast processor by default")


def _assert_absent(log: str, words: str) -> None:
    """Fail with the line itself: pytest would shorten the log around the words."""
    lines = [line for line in log.splitlines() if words in line]
    if lines:
        pytest.fail(lines[0], pytrace=False)
