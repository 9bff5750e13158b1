"""What speed does it sustain? A machine without a fan slows down after some minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from qualification.core.protocol import Generation
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import TimedRequest

pytestmark = pytest.mark.suite(
    "sustained", "speed after minutes of continuous load, with --sustained"
)

LAST_S = 60.0
"""Seconds at the end of the load whose requests count."""

_Run = TypeVar("_Run")


def test_sustained_speed(
    sustained_minutes: float, deployed: Deployed, timed_request: TimedRequest, fixed_length: int
) -> None:
    """Requests of fixed length without a pause; those of the last minute are recorded."""

    def ask() -> Generation:
        return deployed.generate(
            *timed_request.measured, max_tokens=fixed_length, fixed_length=True
        )

    runs = last_minute(ask, 60 * sustained_minutes)
    deployed.record("sustained_decode_tps", *[run.decode_tps for run in runs if run.has_speed])
    deployed.record("sustained_ttft_s", *[run.ttft_s for run in runs if not run.is_cached])


def last_minute(
    ask: Callable[[], _Run], seconds: float, clock: Callable[[], float] = time.monotonic
) -> list[_Run]:
    """Call ``ask`` for ``seconds``; return the results of the last minute, at least one."""
    start = clock()
    runs: list[_Run] = []
    while not runs or clock() - start < seconds:
        began = clock() - start
        run = ask()
        if began >= seconds - LAST_S or clock() - start >= seconds:
            runs.append(run)
    return runs
