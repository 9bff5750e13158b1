"""Clocks inside the worker: every time is ``time.perf_counter`` in seconds.

The definitions are in docs/measuring.md ("How decoding speed is timed", "Phases of the time to
first token").
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from qualification.core.protocol import Phases

clock = time.perf_counter


class TokenClock:
    """Notes when each token of one request came, with the device synchronised.

    ``synchronise`` waits until the device has finished. A backend that learns a token by a copy to
    the host passes nothing: the copy has already synchronised on this token, and a full
    synchronisation would also wait for the next token, which is already queued.
    """

    def __init__(self, synchronise: Callable[[], object] | None = None) -> None:
        self._synchronise = synchronise
        self.started = clock()
        self.times_s: list[float] = []

    def tick(self) -> None:
        """Record that a token has come."""
        if self._synchronise is not None:
            self._synchronise()
        self.times_s.append(clock() - self.started)

    def elapsed_s(self) -> float:
        """Seconds since the request started."""
        return clock() - self.started


class PhaseClock:
    """Notes the phases of one request's time to first token; see ``core.protocol.Phases``.

    ``synchronise`` waits until the device has finished, at the beginning and end of each phase, so
    that queued work is counted in the phase that queued it. That perturbs the request.
    """

    def __init__(self, started: float, synchronise: Callable[[], object] | None = None) -> None:
        self._started = started
        self._synchronise = synchronise
        self._preprocess_s: float | None = None
        self._spans: dict[str, float] = {}

    def preprocessed(self) -> None:
        """Record that all work before the first model is done; only the first call counts."""
        if self._preprocess_s is None:
            self._now()
            self._preprocess_s = clock() - self._started

    def begin(self) -> float:
        """The time now, with the device idle; the ``since`` of :meth:`add`."""
        self._now()
        return clock()

    def add(self, phase: str, since: float, until: float | None = None) -> None:
        """Add the time since ``since`` to ``vision_encode_s`` or ``prefill_s``.

        It ends when the device is idle, or at ``until``, a moment that was noted before.
        """
        if until is None:
            self._now()
            until = clock()
        self._spans[phase] = self._spans.get(phase, 0.0) + until - since

    @contextlib.contextmanager
    def span(self, phase: str) -> Iterator[None]:
        """Add the time of the block to ``vision_encode_s`` or ``prefill_s``."""
        since = self.begin()
        yield
        self.add(phase, since)

    def phases(self) -> Phases:
        """The phases that were timed; None for the others."""
        spans = self._spans
        return Phases(self._preprocess_s, spans.get("vision_encode_s"), spans.get("prefill_s"))

    def _now(self) -> None:
        if self._synchronise is not None:
            self._synchronise()
