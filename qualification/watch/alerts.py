"""The rules by which a soak test raises an alert. Pure: no clock, no I/O.

A state (over a threshold, too slow) is an alert when it begins, an event (a failure, a wrong
answer) when it happens. Neither is repeated within :data:`QUIET_S`, so that the alerts of days stay
readable; every single event is in the log's request lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.format import (
    bytes_text,
    duration_text,
    percent_text,
    rate_text,
    seconds_text,
)
from qualification.core.results import Condition
from qualification.judging.stats.distributions import binomial_tail
from qualification.judging.stats.estimators import median
from qualification.judging.thresholds import Thresholds
from qualification.watch.records import (
    Alert,
    AlertKind,
    Figures,
    LeakSlope,
    Loaded,
    MemorySample,
    Request,
    Severity,
)

QUIET_S = 60.0
"""Seconds in which one kind of alert is raised once."""

MIN_RECENT = 5
"""Minimum number of answers whose median speed is compared with the floor."""

LEAK_ESTIMATES = 3
"""Number of estimates in a row whose lower end must be over the limit of growth."""

REARM = 0.98
"""Memory must fall to this share of a threshold before crossing it is an alert again."""

DRIFT_AFTER_S = 60.0
"""No drift is judged before: one pause of a busy machine would be much of either quarter."""

BUSY_SHARE = 0.05
"""Maximum share of minutes with other work for a drift to be judged."""

WRONG_SHARE, WRONG_CHANCE = 0.05, 1e-9
"""Share of new questions that a canary may answer incorrectly, and the probability under which a
larger share is believed. It is tested after each of perhaps a million requests, hence so small."""


def too_many_wrong(wrong: int, count: int) -> bool:
    """Whether ``wrong`` of ``count`` answers are beyond chance at :data:`WRONG_SHARE`."""
    if wrong <= WRONG_SHARE * count:
        return False
    return binomial_tail(wrong, count, WRONG_SHARE) < WRONG_CHANCE


class Rules:
    """Remembers which alerts are on; each method returns the new ones."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self.raised: dict[str, int] = {}
        self.request = 0
        self._on: dict[tuple[str, str], bool] = {}
        self._raised_at: dict[tuple[str, str], float] = {}
        self._leaky_estimates = 0
        self._busy = False

    # ------------------------------------------------------------------ memory

    def on_memory(self, memory: MemorySample, at_s: float) -> list[Alert]:
        """Compare the machine's memory in use and the subject's with the thresholds."""
        thresholds = self.thresholds
        alerts = self._memory_alerts(
            "machine_memory",
            f"The machine's memory in use is {bytes_text(memory.machine_used_bytes)}",
            memory.machine_used_bytes,
            {"critical": thresholds.critical_bytes, "warning": thresholds.warning_bytes},
            at_s,
        )
        if memory.resident_bytes is not None:
            alerts += self._memory_alerts(
                "subject_memory",
                f"The processes hold {bytes_text(memory.resident_bytes)}",
                memory.resident_bytes,
                {
                    "critical": thresholds.subject_critical_bytes,
                    "warning": thresholds.subject_warning_bytes,
                },
                at_s,
            )
        return alerts

    def is_critical(self, memory: MemorySample) -> bool:
        """Whether to stop now, before the machine swaps."""
        machine, subject = self.thresholds.critical_bytes, self.thresholds.subject_critical_bytes
        return bool(
            (machine and memory.machine_used_bytes > machine)
            or (subject and (memory.resident_bytes or 0) > subject)
        )

    def on_growth(self, growth: LeakSlope | None, at_s: float) -> list[Alert]:
        """Raise a leak if the lower end of the slope is over the limit several times in a row."""
        limit = self.thresholds.growth_limit
        over = growth is not None and growth.lower > limit
        self._leaky_estimates = self._leaky_estimates + 1 if over else 0
        is_leak = self._leaky_estimates >= LEAK_ESTIMATES
        if growth is None or not self._begins("leak", "", is_leak):
            return []
        text = (
            f"Memory grows by {bytes_text(growth.per_request)} with each request"
            f" ({bytes_text(growth.lower)} to {bytes_text(growth.upper)}, 95 %),"
            f" {bytes_text(growth.per_hour)} per hour; the limit is {bytes_text(limit)} per"
            " request."
        )
        if growth.reached_in_s is not None:
            when = duration_text(growth.reached_in_s)
            text += f" At this rate the critical threshold is reached in {when}."
        return self._raise("leak", "warning", at_s, text)

    # ------------------------------------------------------------------ requests

    def on_request(
        self, request: Request, figures: Figures, recent_wrong: Sequence[bool] = ()
    ) -> list[Alert]:
        """Raise a failure, a wrong answer that was correct before, or too many to new questions.

        ``recent_wrong`` are the latest new questions. A canary answers 95 % of them correctly, so
        a few wrong answers are no alert.
        """
        self.request = request.number
        total = f"{figures.requests} requests"
        if request.outcome == "failed":
            text = f"Request {request.number} failed ({request.failure}): {request.text}"
            return self._raise(
                "failure", "warning", request.at_s, f"{text} [{figures.failed} of {total}]"
            )
        if request.outcome == "wrong":
            answer = repr(request.text) if request.text else "nothing"
            text = f"Request {request.number} ({request.question}) was answered with {answer}"
            wrong, count = sum(recent_wrong), len(recent_wrong)
            if request.again:
                text += ", which is incorrect, and was answered correctly before"
            elif request.text and not too_many_wrong(wrong, count):
                return []
            else:
                text += (
                    f", which is incorrect; {wrong} of the latest {count} new questions were"
                    " answered incorrectly"
                )
            return self._raise(
                "wrong_answer", "warning", request.at_s, f"{text} [{figures.wrong} of {total}]"
            )
        return []

    def on_restart(self, at_s: float, sentence: str) -> list[Alert]:
        """Raise a restart: another process answers, and its growth is counted anew."""
        return self._raise("restart", "warning", at_s, sentence)

    def on_load(self, load: Loaded) -> list[Alert]:
        """Compare a load time with the limit for this size."""
        limit = self.thresholds.load_limit_s
        if load.load_s <= limit:
            return []
        text = (
            f"Loading took {seconds_text(load.load_s)}; the limit for this size is"
            f" {seconds_text(limit)}."
        )
        return self._raise("load", "warning", load.at_s, text)

    # ------------------------------------------------------------------ speed

    def on_speed(self, figures: Figures, recent: Sequence[float], at_s: float) -> list[Alert]:
        """Compare decoding with the floor, and the last quarter with the first.

        Not judged while other work runs on the machine: it takes time from the subject.
        """
        if self._busy:
            return []
        floor = self.thresholds.floor_tps
        slow = bool(floor) and len(recent) >= MIN_RECENT and median(recent) < floor
        alerts = []
        if self._begins("slow", "", slow):
            text = (
                f"Decoding runs at {rate_text(median(recent))} over the latest {len(recent)}"
                f" answers; the floor is {rate_text(floor)} ({self.thresholds.floor_why})."
            )
            alerts += self._raise("slow", "warning", at_s, text)
        busy = figures.minutes_of_other_work > BUSY_SHARE * figures.minutes
        limit = 0.0 if busy or at_s < DRIFT_AFTER_S else self.thresholds.drift_limit
        for name, ratio in (
            ("decoding", figures.decode_drift),
            ("the time to first token", figures.ttft_drift),
        ):
            over = bool(limit) and ratio is not None and ratio > limit
            if self._begins("throttled", name, over):
                assert ratio is not None
                text = (
                    f"The last quarter of {name} is slower than the first by"
                    f" {percent_text(ratio - 1, digits=0)}; over"
                    f" {percent_text(limit - 1, digits=0)} the machine or the server did not stay"
                    " in one state."
                )
                alerts += self._raise("throttled", "warning", at_s, text, name)
        return alerts

    def on_conditions(self, conditions: Sequence[Condition], at_s: float) -> list[Alert]:
        """Raise what the operating system reports of the last minute; other work is a note."""
        alerts = []
        self._busy = False
        for condition in conditions:
            is_other_work = condition.name == "load_in_the_run"
            self._busy |= is_other_work and not condition.fit
            if not self._begins("machine", condition.name, not condition.fit):
                continue
            note = f" ({condition.note})" if condition.note else ""
            text = f"{condition.name.replace('_', ' ')} was {condition.value}{note}."
            if is_other_work:
                alerts += self._raise("other_work", "note", at_s, f"Speed is not judged: {text}")
            else:
                text = f"The machine: {text}"
                alerts += self._raise("machine", "warning", at_s, text, condition.name)
        return alerts

    def on_log(self, at_s: float, sentence: str) -> list[Alert]:
        """Raise that the log can no longer be written."""
        return self._raise("log", "warning", at_s, sentence)

    # ------------------------------------------------------------------ on and off

    def _memory_alerts(
        self,
        kind: AlertKind,
        fact: str,
        used: float,
        thresholds: dict[Severity, float],
        at_s: float,
    ) -> list[Alert]:
        """Raise the first of the thresholds (critical before warning) that is crossed now."""
        alerts: list[Alert] = []
        for severity, threshold in thresholds.items():
            # If the critical threshold is passed at once, the warning beside it is no news; it is
            # looked at all the same, so that it counts as on.
            if not self._crosses(kind, severity, used, threshold) or alerts:
                continue
            total = self.thresholds.memory_bytes
            share = (
                f", {percent_text(used / total, digits=0)} of {bytes_text(total)}" if total else ""
            )
            text = f"{fact}{share}: over the {severity} threshold of {bytes_text(threshold)}."
            alerts += self._raise(kind, severity, at_s, text, severity)
        return alerts

    def _crosses(self, kind: str, severity: str, used: float, threshold: float) -> bool:
        was_over = self._on.get((kind, severity), False)
        over = bool(threshold) and used > (threshold * REARM if was_over else threshold)
        return self._begins(kind, severity, over)

    def _begins(self, kind: str, detail: str, is_on: bool) -> bool:
        was_on = self._on.get((kind, detail), False)
        self._on[kind, detail] = is_on
        return is_on and not was_on

    def _raise(
        self, kind: AlertKind, severity: Severity, at_s: float, sentence: str, detail: str = ""
    ) -> list[Alert]:
        key = (kind, detail)
        if key in self._raised_at and at_s - self._raised_at[key] < QUIET_S:
            return []
        self._raised_at[key] = at_s
        if severity != "note":
            self.raised[kind] = self.raised.get(kind, 0) + 1
        return [Alert(kind, severity, at_s, self.request, sentence)]
