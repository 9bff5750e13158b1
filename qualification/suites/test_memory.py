"""Does it stay within the memory that the machine can give, and does it give back what it took?"""

import pytest

from qualification.judging.stats.estimators import theil_sen

pytestmark = [pytest.mark.memory, pytest.mark.owned]


@pytest.mark.needs("vision")
def test_peak_memory_within_budget(deployed, questions, memory_limit_bytes):
    """The worker's lifetime peak, after a picture, stays under the tier's critical mark."""
    deployed.answer(questions(seed=17, count=1, skills=["both"])[0])
    report = deployed.memory()
    deployed.record("peak_memory_bytes", report.peak_memory_bytes)
    if report.peak_device_bytes:
        deployed.record("peak_device_bytes", report.peak_device_bytes)
    peak = report.peak_memory_bytes
    assert peak <= memory_limit_bytes, (
        f"the peak of {peak / 1e9:.2f} GB ({report.metric}) is over the critical mark of "
        f"{memory_limit_bytes / 1e9:.2f} GB"
    )


@pytest.mark.needs("vision")
def test_memory_does_not_grow(deployed, row, growth_limit_bytes):
    """Fifty requests in a row: once the caches are full, nothing more is kept of each."""
    _refuse_growth(deployed, row, "never", "growth_bytes_per_request", growth_limit_bytes)


@pytest.mark.needs("vision")
def test_memory_does_not_grow_when_cleaned_up(deployed, row, growth_limit_bytes):
    """Cleaned up after each request, as the seeds' servers do."""
    metric = "growth_with_clean_up_bytes_per_request"
    _refuse_growth(deployed, row, "after_each", metric, growth_limit_bytes)


@pytest.mark.needs("vision")
def test_memory_does_not_grow_when_cleaned_up_under_pressure(deployed, row, growth_limit_bytes):
    """Cleaned up when more than 80 % of the machine's memory is in use: now perhaps never."""
    _refuse_growth(deployed, row, "under_pressure", "", growth_limit_bytes)


def _refuse_growth(deployed, row, policy, metric, limit):
    """The slope, recorded, is under the limit; what is not is measured again."""
    slope = _growth(row(policy))
    if metric:
        deployed.record(metric, slope.value)
    if slope.lower <= limit:
        return
    again = _growth(row(policy, again=True))
    surely = again.lower
    assert surely <= limit, (
        f"memory grows by {slope.value / 1e3:.0f} KB with each request "
        f"({slope.lower / 1e3:.0f} to {slope.upper / 1e3:.0f}), and again by "
        f"{again.value / 1e3:.0f} KB ({again.lower / 1e3:.0f} to {again.upper / 1e3:.0f}); "
        f"the limit is {limit / 1e3:.0f} KB"
    )


def _growth(row):
    """Of the last 25 requests, or all but the first two of a few: caches fill before."""
    held = row.held_bytes
    return theil_sen(held[max(2, len(held) - 25) :])
