"""The policies of cleaning up on recorded pressures, and what counts as private memory."""

import pytest

from qualification.core.protocol import MemoryReport
from qualification.judging.memory_growth import POLICIES, private_bytes

RECORDED = (41.3, 79.9, 80.0, 80.1, 93.7, 62.0)
"""Per cent of a machine's memory in use, after each of six requests."""


@pytest.mark.parametrize(
    ("policy", "cleaned"),
    [("never", []), ("after_each", [0, 1, 2, 3, 4, 5]), ("under_pressure", [3, 4])],
)
def test_a_policy_says_after_which_requests_to_clean_up(policy, cleaned):
    """Under pressure means beyond 80 %, and no longer once the pressure has gone."""
    assert [n for n, percent in enumerate(RECORDED) if POLICIES[policy](percent)] == cleaned


@pytest.mark.parametrize(
    ("details", "private"),
    [
        ({"VmRSS": 300, "RssAnon": 200, "RssFile": 100}, 200),
        ({"phys_footprint": 500, "resident_size": 900}, 500),
        ({"VmRSS": 300}, 300),
    ],
)
def test_mapped_files_are_not_private(details, private):
    """Linux: anonymous memory; macOS: the footprint."""
    assert private_bytes(MemoryReport(1000, "VmHWM", details)) == private


def test_a_report_without_any_of_them_is_refused():
    """Another platform must not be judged as if it held nothing."""
    with pytest.raises(ValueError, match="swap"):
        private_bytes(MemoryReport(1000, "peak", {"swap": 3}))
