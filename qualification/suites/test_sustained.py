"""What speed does it keep up? A machine without a fan slows down after some minutes."""

import time

import pytest

pytestmark = pytest.mark.sustained

LAST_S = 60.0
"""Of the whole time: its requests are the sustained ones."""


@pytest.mark.needs("vision")
def test_sustained_speed(sustained_minutes, deployed, pair, fixed_length):
    """Requests of a fixed length without a pause; those of the last minute are recorded."""

    def ask():
        return deployed.generate(
            pair.prompt, pair.picture, max_tokens=fixed_length, fixed_length=True
        )

    runs = last_of(ask, 60 * sustained_minutes)
    deployed.record("sustained_decode_tps", *[run.decode_tps for run in runs])
    deployed.record("sustained_ttft_s", *[run.ttft_s for run in runs])


def last_of(ask, seconds, clock=time.monotonic):
    """What ``ask()`` gave in the last minute of so many seconds of asking; once at least."""
    start = clock()
    kept = []
    while not kept or clock() - start < seconds:
        began = clock() - start
        run = ask()
        if began >= seconds - LAST_S or clock() - start >= seconds:
            kept.append(run)
    return kept
