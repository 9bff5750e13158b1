"""Did the machine stay in the same state from the first figure to the last?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qualification.judging.stats.estimators import departure

if TYPE_CHECKING:
    from collections.abc import Callable

    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import Once

pytestmark = pytest.mark.suite("drift", "the same request as fast at the end as at the beginning")


def test_sentinel(
    once: Once, deployed: Deployed, sentinel: Callable[[], tuple[float, ...]]
) -> None:
    """The same request before and after all other suites; the verdict judges the difference."""
    before, after = once("sentinel", sentinel), sentinel()
    if before and after:
        deployed.record("sentinel_drift", departure(before, after))
