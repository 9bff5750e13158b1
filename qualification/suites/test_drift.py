"""Was the machine in one state from the first figure to the last?"""

import pytest

from qualification.judging.stats.estimators import departure

pytestmark = pytest.mark.drift


@pytest.mark.needs("vision")
def test_sentinel(once, deployed, sentinel):
    """The same request before and after all other suites: recorded, and judged by the verdict."""
    before = once("sentinel", sentinel)
    deployed.record("sentinel_drift", departure(before, sentinel()))
