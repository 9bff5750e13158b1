"""Clocks and the page cache, inside the worker: every time is ``time.perf_counter`` in seconds.

macOS answers the same calls as Linux here (``mmap``, ``mincore``, ``msync`` of its manual pages),
so there is one code for both; it has run on Linux only, see docs/not-run-on-a-mac.md.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from qualification.core.protocol import Phases

clock = time.perf_counter


class TokenClock:
    """Notes when each token of one request came, with the device synchronised.

    ``synchronise`` waits until the device has finished; backends whose next token is only known
    after a copy to the host pass nothing: that copy has waited for this token, and waiting for
    all would also wait for the next token, which such libraries have begun already.
    """

    def __init__(self, synchronise: Callable[[], object] | None = None) -> None:
        self._synchronise = synchronise
        self.started = clock()
        self.times_s: list[float] = []

    def tick(self) -> None:
        """One more token is there."""
        if self._synchronise is not None:
            self._synchronise()
        self.times_s.append(clock() - self.started)

    def elapsed_s(self) -> float:
        """Seconds since the request started."""
        return clock() - self.started


class PhaseClock:
    """Notes the parts of one request's time to first token; see :class:`records.Phases`.

    ``synchronise`` waits until the device has finished, at the beginning and end of each part, so
    that work which was only queued is counted where it belongs. That perturbs the request.
    """

    def __init__(self, started: float, synchronise: Callable[[], object] | None = None) -> None:
        self._started = started
        self._synchronise = synchronise
        self._preprocess_s: float | None = None
        self._spans: dict[str, float] = {}

    def preprocessed(self) -> None:
        """All that comes before the first model is done; only the first call counts."""
        if self._preprocess_s is None:
            self._now()
            self._preprocess_s = clock() - self._started

    def begin(self) -> float:
        """The time now, with the device idle; what :meth:`add` wants as ``since``."""
        self._now()
        return clock()

    def add(self, part: str, since: float, until: float | None = None) -> None:
        """Add the time since ``since`` to ``vision_encode_s`` or ``prefill_s``.

        Until the device is idle, or until a moment that was noted before.
        """
        if until is None:
            self._now()
            until = clock()
        self._spans[part] = self._spans.get(part, 0.0) + until - since

    @contextlib.contextmanager
    def span(self, part: str) -> Iterator[None]:
        """Add what happens inside to ``vision_encode_s`` or ``prefill_s``."""
        since = self.begin()
        yield
        self.add(part, since)

    def phases(self) -> Phases:
        """The parts that were seen."""
        spans = self._spans
        return Phases(self._preprocess_s, spans.get("vision_encode_s"), spans.get("prefill_s"))

    def _now(self) -> None:
        if self._synchronise is not None:
            self._synchronise()
