"""What a run amounts to so far, in bounded memory however many days it takes. Pure.

Every series is thinned evenly: every ``stride``-th value is kept. A soak test that leaked by
itself would be no use.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from qualification.judging.stats.estimators import drift, theil_sen
from qualification.judging.thresholds import Thresholds
from qualification.watch.records import (
    Figures,
    LeakSlope,
    Loaded,
    MachineState,
    Quantiles,
    Request,
    SelfReport,
)

MIN_QUANTILE = 5
"""Number of values under which no quantile is given."""

MIN_TOKENS = 8
"""Tokens an answer needs for its decoding speed to be judged: over fewer it is mostly chance."""

MIN_DRIFT = 40
"""Number of values under which no drift is given: ten in a quarter."""

WARM_REQUESTS, WARM_SHARE = 20, 0.2
"""The warm-up, in which caches fill: this many requests or this share, whichever is more."""

MIN_GROWTH = 30
"""Number of samples under which no growth is given."""

MAX_GROWTH = 300
"""Maximum number of memory samples: the estimate is quadratic."""

FORECAST_S = 90 * 86400.0
"""No forecast beyond this horizon."""

RECENT_ANSWERS = 100
"""Number of new questions over which the share of wrong answers is judged."""

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
        """Take the next value, and thin if there are too many."""
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
        """The drift of the series (estimators); ``None`` under :data:`MIN_DRIFT` values."""
        positive = [value for value in self.values if value > 0]
        return drift(positive) if len(positive) >= MIN_DRIFT else None


@dataclass
class _PrivateMemory:
    """Private memory since the subject (re)started: two series that are thinned alike."""

    times_s: Thinned
    sizes: Thinned

    @classmethod
    def empty(cls) -> _PrivateMemory:
        return cls(Thinned(MAX_GROWTH), Thinned(MAX_GROWTH))


class Tally:
    """Takes the records of a run in order; :meth:`figures` summarises them."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self.requests = self.ok = self.wrong = self.failed = self.named_answer = 0
        self.restarts = 0
        self.failures_in_a_row = 0
        self.recent_tps: deque[float] = deque(maxlen=RECENT)
        self.recent_wrong: deque[bool] = deque(maxlen=RECENT_ANSWERS)
        self.latest: Request | None = None
        self._identity = ""
        self._ttft, self._decode, self._e2e = Thinned(), Thinned(), Thinned()
        self._token_s = Thinned()
        self._tokens = Thinned()
        self._private = _PrivateMemory.empty()
        self._peak: int | None = None
        self._machine_peak = 0
        self._loads: list[float] = []
        self._report: SelfReport | None = None
        self._elapsed = 0.0
        self._minutes = self._busy = 0

    def add(self, request: Request) -> bool:
        """Take a request; True if another process answered than before."""
        self.requests += 1
        self._elapsed = max(self._elapsed, request.at_s)
        if request.outcome == "failed":
            self.failed += 1
            self.failures_in_a_row += 1
        else:
            self.failures_in_a_row = 0
            self.ok += request.outcome == "ok"
            self.wrong += request.outcome == "wrong"
            self.named_answer += request.named_answer
            if not request.again:
                self.recent_wrong.append(request.outcome == "wrong")
            self._add_times(request)
        restarted = self._add_memory(request)
        self.latest = request
        return restarted

    def add_load(self, load: Loaded) -> None:
        """Take a load time; the first and the newest 20 are kept."""
        self._loads = [*self._loads[:1], *[*self._loads[1:], load.load_s][-20:]]

    def add_state(self, state: MachineState) -> None:
        """Take a minute of the machine."""
        self._minutes += 1
        self._busy += any(
            condition.name == "load_in_the_run" and not condition.fit
            for condition in state.conditions
        )

    def add_self_report(self, report: SelfReport) -> None:
        """Take the server's self-reported figures."""
        self._report = report

    def note_restart(self) -> None:
        """Another process answers, as concluded from something else than its number."""
        self.restarts += 1
        self._private = _PrivateMemory.empty()

    def figures(self, elapsed_s: float | None = None) -> Figures:
        """Summarise the records so far."""
        memory = self.latest.look if self.latest else None
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
            machine_used_bytes=memory.machine_used_bytes if memory else 0,
            machine_peak_bytes=self._machine_peak,
            held_bytes=memory.held_bytes if memory else None,
            resident_bytes=memory.resident_bytes if memory else None,
            resident_peak_bytes=self._peak,
            growth=self.growth(),
            ttft_drift=self._ttft.drift(),
            decode_drift=self._token_s.drift(),
            load_s=tuple(self._loads),
            workers=self._report.workers if self._report else (),
            minutes=self._minutes,
            minutes_of_other_work=self._busy,
        )

    def growth(self) -> LeakSlope | None:
        """The slope of private memory after a warm-up; ``None`` over too few samples."""
        sizes, times_s = self._private.sizes, self._private.times_s
        stride = sizes.stride
        warm = max(WARM_REQUESTS, WARM_SHARE * sizes.count)
        start = -(-int(warm) // stride)
        values, moments = sizes.values[start:], times_s.values[start:]
        if len(values) < MIN_GROWTH or moments[-1] <= moments[0]:
            return None
        # The samples are evenly spaced in requests, so the slope is per stride of requests.
        slope = theil_sen(values)
        per_hour = (len(values) - 1) / (moments[-1] - moments[0]) * 3600
        return LeakSlope(
            per_request=slope.value / stride,
            lower=slope.lower / stride,
            upper=slope.upper / stride,
            per_hour=slope.value * per_hour,
            samples=len(values),
            requests=sizes.count,
            reached_in_s=self._forecast(slope.lower, slope.value * per_hour),
        )

    def _forecast(self, lower: float, per_hour: float) -> float | None:
        """Seconds until the nearer critical threshold, the subject's or the machine's."""
        memory = self.latest.look if self.latest else None
        if memory is None or lower <= 0 or per_hour <= 0:
            return None
        thresholds = self.thresholds
        headrooms = []
        if memory.resident_bytes is not None and thresholds.subject_critical_bytes:
            headrooms.append(thresholds.subject_critical_bytes - memory.resident_bytes)
        if thresholds.critical_bytes:
            headrooms.append(thresholds.critical_bytes - memory.machine_used_bytes)
        if not headrooms:
            return None
        seconds = max(0.0, min(headrooms)) / per_hour * 3600
        return seconds if seconds < FORECAST_S else None

    def _add_times(self, request: Request) -> None:
        self._tokens.add(request.tokens)
        for series, value in (
            (self._ttft, request.ttft_s),
            (self._e2e, request.e2e_s),
            (self._decode, request.decode_tps),
        ):
            if value is not None and value > 0:
                series.add(value)
        if request.decode_tps and request.tokens >= MIN_TOKENS:
            self._token_s.add(1 / request.decode_tps)
            self.recent_tps.append(request.decode_tps)

    def _add_memory(self, request: Request) -> bool:
        memory = request.look
        self._machine_peak = max(self._machine_peak, memory.machine_used_bytes)
        if memory.held_bytes is None:
            return False
        restarted = bool(self._identity and memory.identity and memory.identity != self._identity)
        if restarted:
            self.note_restart()
        self._identity = memory.identity or self._identity
        if memory.resident_bytes is not None:
            self._peak = max(self._peak or 0, memory.resident_bytes)
        self._private.sizes.add(memory.held_bytes)
        self._private.times_s.add(request.at_s)
        return restarted
