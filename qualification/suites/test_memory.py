"""Does it stay within the memory that the machine can give?"""

import pytest

pytestmark = pytest.mark.memory


@pytest.mark.needs("vision")
def test_peak_memory_within_budget(deployed, questions, memory_limit_bytes):
    """The worker's lifetime peak, after a picture, stays under the tier's critical mark."""
    deployed.answer(questions(seed=17, count=1, skills=["both"])[0])
    report = deployed.memory()
    deployed.record("peak_memory_bytes", report.peak_memory_bytes)
    peak = report.peak_memory_bytes
    assert peak <= memory_limit_bytes, (
        f"the peak of {peak / 1e9:.2f} GB ({report.metric}) is over the critical mark of "
        f"{memory_limit_bytes / 1e9:.2f} GB"
    )
