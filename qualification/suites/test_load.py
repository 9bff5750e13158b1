"""Does it load, and in the time that the tier allows?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed

pytestmark = [pytest.mark.suite("load", "loads, and in time"), pytest.mark.managed]


def test_loads(deployed: Deployed) -> None:
    """The weights load in a fresh process until a first token can be computed."""
    report = deployed.load_report
    deployed.record("load_s", report.load_s)
    deployed.record("load_return_s", report.load_return_s)
    assert report.load_s >= report.load_return_s > 0


def test_load_within_limit(deployed: Deployed, load_limit_s: float) -> None:
    """Loading takes no longer than the tier's limit for a model of this size."""
    load_s = deployed.load_report.load_s
    assert load_s <= load_limit_s, f"loading took {load_s:.1f} s, the limit is {load_limit_s:.1f} s"


def test_loads_cold(cold_load: None, deployed: Deployed) -> None:
    """A load from the disk in a fresh process; recorded only if the kernel confirms it as cold."""
    report = deployed.reload(cold=True)
    if report.page_cache != "cold":
        pytest.skip(f"the files' pages could not be dropped: they were {report.page_cache}")
    deployed.record("load_cold_s", report.load_s)
