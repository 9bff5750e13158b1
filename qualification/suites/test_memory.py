"""Does it stay within the memory of the machine, and does it free what it allocated?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qualification.core.format import bytes_text
from qualification.judging.stats.estimators import theil_sen

if TYPE_CHECKING:
    from qualification.judging.stats.estimators import Slope
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import GetQuestions, GetSeries

pytestmark = [
    pytest.mark.suite("memory", "peak memory against the tier's budget"),
    pytest.mark.managed,
]


def test_peak_memory_within_budget(
    deployed: Deployed, questions: GetQuestions, plain_skill: str, memory_limit_bytes: float
) -> None:
    """The worker's lifetime peak, after an answer, stays below the tier's critical threshold."""
    deployed.answer(questions(seed=17, count=1, skills=[plain_skill])[0])
    report = deployed.memory()
    deployed.record("peak_memory_bytes", report.peak_memory_bytes)
    if report.peak_device_bytes:
        deployed.record("peak_device_bytes", report.peak_device_bytes)
    peak = report.peak_memory_bytes
    assert peak <= memory_limit_bytes, (
        f"the peak of {bytes_text(peak)} ({report.metric}) is over the critical threshold of "
        f"{bytes_text(memory_limit_bytes)}"
    )


def test_memory_does_not_grow(
    deployed: Deployed, series: GetSeries, growth_limit_bytes: int
) -> None:
    """In many requests in a row, no request retains memory once the caches are full."""
    _assert_no_growth(deployed, series, "never", "growth_bytes_per_request", growth_limit_bytes)


def test_memory_does_not_grow_when_cleaned_up(
    deployed: Deployed, series: GetSeries, growth_limit_bytes: int
) -> None:
    """The same with a clean-up after each request.

    Source of the policy: docs/published-documents.md ("Practices that are measured").
    """
    metric = "growth_with_clean_up_bytes_per_request"
    _assert_no_growth(deployed, series, "after_each", metric, growth_limit_bytes)


def test_memory_does_not_grow_when_cleaned_up_under_pressure(
    deployed: Deployed, series: GetSeries, growth_limit_bytes: int
) -> None:
    """The same with a clean-up whenever over 80 % of the machine's memory is in use."""
    _assert_no_growth(deployed, series, "under_pressure", "", growth_limit_bytes)


def _assert_no_growth(
    deployed: Deployed, series: GetSeries, policy: str, metric: str, limit: int
) -> None:
    """Record the slope; if its lower bound is over the limit, a second series decides."""
    slope = theil_sen(series(policy).private_bytes)
    if metric:
        deployed.record(metric, slope.value)
    if slope.lower <= limit:
        return
    again = theil_sen(series(policy, again=True).private_bytes)
    lower = again.lower
    assert lower <= limit, (
        f"memory grows by {_slope_text(slope)} with each request, and again by "
        f"{_slope_text(again)}; the limit is {bytes_text(limit)}"
    )


def _slope_text(slope: Slope) -> str:
    return f"{bytes_text(slope.value)} ({bytes_text(slope.lower)} to {bytes_text(slope.upper)})"
