"""Does it load, and in the time that the tier allows?"""

import pytest

pytestmark = [pytest.mark.load, pytest.mark.owned]


def test_loads(deployed):
    """The weights load in a fresh process until a first token can be computed."""
    report = deployed.load_report
    deployed.record("load_s", report.load_s)
    deployed.record("load_return_s", report.load_return_s)
    assert report.load_s >= report.load_return_s > 0


def test_load_within_limit(deployed, load_limit_s):
    """Loading takes no longer than the tier's limit for a model of this size."""
    took = deployed.load_report.load_s
    assert took <= load_limit_s, f"loading took {took:.1f} s, the limit is {load_limit_s:.1f} s"


def test_loads_cold(cold_load, deployed):
    """From the disk, in a fresh process; recorded as cold only where the kernel says it was."""
    report = deployed.reload(cold=True)
    if report.page_cache != "cold":
        pytest.skip(f"the files' pages could not be dropped: they were {report.page_cache}")
    deployed.record("load_cold_s", report.load_s)
