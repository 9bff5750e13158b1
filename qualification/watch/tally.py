"""What a run amounts to so far, in bounded memory however many days it takes. Pure.

Every series is thinned evenly: of so many values every ``stride``-th is kept. The first failure of
an endurance watch would be to leak by itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from qualification.judging.stats.estimators import drift, theil_sen
from qualification.watch.records import (
    Figures,
    Growth,
    Levels,
    Loaded,
    MachineState,
    Quantiles,
    Request,
    ServerWord,
)

MIN_QUANTILE = 5
"""Values under which no quantile is told."""

MIN_TOKENS = 8
"""Of an answer whose decoding speed is judged: over fewer tokens it is mostly chance."""

MIN_DRIFT = 40
"""Values under which no drift is told: ten in a quarter."""

WARM_REQUESTS, WARM_SHARE = 20, 0.2
"""Left out of the growth: caches fill first. At least so many requests, or the share of all."""

MIN_GROWTH = 30
"""Samples under which no growth is told."""

MAX_GROWTH = 300
"""Samples of memory at most: the estimate is quadratic."""

FORESIGHT_S = 90 * 86400.0
"""A mark that is reached later than this is not foretold."""

RECENT_ANSWERS = 100
"""New questions of which the share of wrong answers is judged."""

MAX_VALUES = 8192
RECENT = 20


class Thinned:
    """An evenly thinned series: every ``stride``-th of ``count`` values, at most ``capacity``."""

    def __init__(self, capacity: int = MAX_VALUES) -> None:
        self.capacity = max(2, capacity)
        self.values: list[float] = []
        self.count = 0
        self.stride = 1

    def add(self, value: float) -> None:
        """Take the next value, and thin where there are too many."""
        if self.count % self.stride == 0:
            self.values.append(value)
            if len(self.values) > self.capacity:
                self.values = self.values[::2]
                self.stride *= 2
        self.count += 1

    def quantiles(self, tail: float) -> Quantiles:
        """The median and one more quantile; the count is that of all values."""
        if len(self.values) < MIN_QUANTILE:
            return Quantiles(self.count)
        import numpy as np

        middle, far = np.quantile(self.values, [0.5, tail])
        return Quantiles(self.count, float(middle), float(far))

    def drift(self) -> float | None:
        """:func:`statistics.drift` of the series; ``None`` under :data:`MIN_DRIFT` values."""
        positive = [value for value in self.values if value > 0]
        return drift(positive) if len(positive) >= MIN_DRIFT else None


@dataclass
class _Held:
    """Memory since the subject (re)started: two series thinned alike."""

    moments: Thinned
    held: Thinned

    @classmethod
    def empty(cls) -> _Held:
        return cls(Thinned(MAX_GROWTH), Thinned(MAX_GROWTH))


class Tally:
    """Takes what was seen, in order; :meth:`figures` tells what it amounts to."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.requests = self.ok = self.wrong = self.failed = self.named_answer = 0
        self.restarts = 0
        self.failures_in_a_row = 0
        self.recent_tps: deque[float] = deque(maxlen=RECENT)
        self.recent_wrong: deque[bool] = deque(maxlen=RECENT_ANSWERS)
        self.last: Request | None = None
        self._identity = ""
        self._ttft, self._decode, self._e2e = Thinned(), Thinned(), Thinned()
        self._token_s = Thinned()
        self._tokens = Thinned()
        self._held = _Held.empty()
        self._peak: int | None = None
        self._machine_peak = 0
        self._loads: list[float] = []
        self._workers: ServerWord | None = None
        self._elapsed = 0.0
        self._minutes = self._busy = 0

    def add(self, seen: Request) -> bool:
        """Take a request; True where another process answers than before."""
        self.requests += 1
        self._elapsed = max(self._elapsed, seen.at_s)
        if seen.outcome == "failed":
            self.failed += 1
            self.failures_in_a_row += 1
        else:
            self.failures_in_a_row = 0
            self.ok += seen.outcome == "ok"
            self.wrong += seen.outcome == "wrong"
            self.named_answer += seen.named_answer
            if not seen.again:
                self.recent_wrong.append(seen.outcome == "wrong")
            self._time(seen)
        restarted = self._memory(seen)
        self.last = seen
        return restarted

    def add_load(self, seen: Loaded) -> None:
        """Take a load time."""
        self._loads = [*self._loads[:1], *[*self._loads[1:], seen.load_s][-20:]]

    def add_state(self, seen: MachineState) -> None:
        """Take a minute of the machine."""
        self._minutes += 1
        self._busy += any(one.name == "load_in_the_run" and not one.fit for one in seen.conditions)

    def add_word(self, seen: ServerWord) -> None:
        """Take the server's own word."""
        self._workers = seen

    def note_restart(self) -> None:
        """Another process answers, as told by something else than its number."""
        self.restarts += 1
        self._held = _Held.empty()

    def figures(self, elapsed_s: float | None = None) -> Figures:
        """What was seen so far."""
        look = self.last.look if self.last else None
        return Figures(
            elapsed_s=self._elapsed if elapsed_s is None else elapsed_s,
            requests=self.requests,
            ok=self.ok,
            wrong=self.wrong,
            failed=self.failed,
            named_answer=self.named_answer,
            restarts=self.restarts,
            tokens_p50=self._tokens.quantiles(0.5).p50,
            ttft_s=self._ttft.quantiles(0.95),
            decode_tps=self._decode.quantiles(0.05),
            e2e_s=self._e2e.quantiles(0.95),
            machine_used_bytes=look.machine_used_bytes if look else 0,
            machine_peak_bytes=self._machine_peak,
            held_bytes=look.held_bytes if look else None,
            resident_bytes=look.resident_bytes if look else None,
            resident_peak_bytes=self._peak,
            growth=self.growth(),
            ttft_drift=self._ttft.drift(),
            decode_drift=self._token_s.drift(),
            load_s=tuple(self._loads),
            workers=self._workers.workers if self._workers else (),
            minutes=self._minutes,
            minutes_of_other_work=self._busy,
        )

    def growth(self) -> Growth | None:
        """The slope of what is held after a warm-up; ``None`` where too little was seen."""
        held, moments = self._held.held, self._held.moments
        stride = held.stride
        warm = max(WARM_REQUESTS, WARM_SHARE * held.count)
        first = -(-int(warm) // stride)
        values, times = held.values[first:], moments.values[first:]
        if len(values) < MIN_GROWTH or times[-1] <= times[0]:
            return None
        slope = theil_sen(values)
        per_hour = (len(values) - 1) / (times[-1] - times[0]) * 3600
        return Growth(
            per_request=slope.value / stride,
            lower=slope.lower / stride,
            upper=slope.upper / stride,
            per_hour=slope.value * per_hour,
            samples=len(values),
            requests=held.count,
            reached_in_s=self._reached(slope.lower, slope.value * per_hour),
        )

    def _reached(self, lower: float, per_hour: float) -> float | None:
        """Seconds until the nearer mark at this rate: the subject's own, or the machine's."""
        look = self.last.look if self.last else None
        if look is None or lower <= 0 or per_hour <= 0:
            return None
        rooms = []
        if look.resident_bytes is not None and self.levels.subject_critical_bytes:
            rooms.append(self.levels.subject_critical_bytes - look.resident_bytes)
        if self.levels.critical_bytes:
            rooms.append(self.levels.critical_bytes - look.machine_used_bytes)
        reached = max(0.0, min(rooms)) / per_hour * 3600 if rooms else None
        return reached if reached is not None and reached < FORESIGHT_S else None

    def _time(self, seen: Request) -> None:
        self._tokens.add(seen.tokens)
        for series, value in (
            (self._ttft, seen.ttft_s),
            (self._e2e, seen.e2e_s),
            (self._decode, seen.decode_tps),
        ):
            if value is not None and value > 0:
                series.add(value)
        if seen.decode_tps and seen.tokens >= MIN_TOKENS:
            self._token_s.add(1 / seen.decode_tps)
            self.recent_tps.append(seen.decode_tps)

    def _memory(self, seen: Request) -> bool:
        look = seen.look
        self._machine_peak = max(self._machine_peak, look.machine_used_bytes)
        if look.held_bytes is None:
            return False
        restarted = bool(self._identity and look.identity and look.identity != self._identity)
        if restarted:
            self.note_restart()
        self._identity = look.identity or self._identity
        if look.resident_bytes is not None:
            self._peak = max(self._peak or 0, look.resident_bytes)
        self._held.held.add(look.held_bytes)
        self._held.moments.add(seen.at_s)
        return restarted
