"""The rules by which an endurance run raises an alert. Pure: no clock, no I/O.

A state (over a mark, too slow) is an alert when it begins, an event (a failure, a wrong answer)
when it happens. Neither is said again within :data:`QUIET_S`, so that a run of days stays readable;
every single event is in the log's request lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from qualification.core.results import Condition
from qualification.judging.budgets import figure
from qualification.judging.stats.estimators import median
from qualification.watch.records import (
    Alert,
    AlertKind,
    Figures,
    Growth,
    Level,
    Levels,
    Loaded,
    Look,
    Request,
)
from qualification.watch.words import duration, size

QUIET_S = 60.0
"""Seconds in which one kind of alert is raised once."""

MIN_RECENT = 5
"""Answers whose median speed is held against the floor, at least."""

LEAK_LOOKS = 3
"""Times in a row that the growth's lower end must be over the limit."""

REARM = 0.98
"""Memory must fall to this share of a mark before crossing it is news again."""


DRIFT_AFTER_S = 60.0
"""Before it no end is held against a beginning: one pause of a busy machine is much of both."""

BUSY_SHARE = 0.05
"""Of the minutes with other work, at most, for the end to be held against the beginning."""

WRONG_SHARE, WRONG_CHANCE = 0.05, 1e-9
"""What a canary may have wrong of new questions, and the probability at which it is believed to
have more. So small because it is looked at after each of perhaps a million requests."""


def too_many_wrong(wrong: int, count: int) -> bool:
    """Whether so many wrong answers are beyond chance for a share of :data:`WRONG_SHARE`."""
    if wrong <= WRONG_SHARE * count:
        return False
    from scipy.stats import binom

    return bool(binom.sf(wrong - 1, count, WRONG_SHARE) < WRONG_CHANCE)


class Rules:
    """Which alerts are on; each method returns the new ones."""

    def __init__(self, levels: Levels) -> None:
        self.levels = levels
        self.raised: dict[str, int] = {}
        self.request = 0
        self._on: dict[tuple[str, str], bool] = {}
        self._said: dict[tuple[str, str], float] = {}
        self._leak_looks = 0
        self._busy = False

    # ------------------------------------------------------------------ memory

    def on_memory(self, look: Look, at_s: float) -> list[Alert]:
        """What is used of the machine and what the subject holds, against the marks."""
        levels = self.levels
        found = self._marks(
            "machine_memory", "The machine's memory in use is", look.machine_used_bytes,
            levels.warning_bytes, levels.critical_bytes, at_s,
        )  # fmt: skip
        if look.resident_bytes is not None:
            found += self._marks(
                "subject_memory", "What the processes hold is", look.resident_bytes,
                levels.subject_warning_bytes, levels.subject_critical_bytes, at_s,
            )  # fmt: skip
        return found

    def is_critical(self, look: Look) -> bool:
        """Whether to stop now, before the machine swaps."""
        levels = self.levels
        held = look.resident_bytes or 0
        return bool(
            (levels.critical_bytes and look.machine_used_bytes > levels.critical_bytes)
            or (levels.subject_critical_bytes and held > levels.subject_critical_bytes)
        )

    def on_growth(self, growth: Growth | None, at_s: float) -> list[Alert]:
        """A leak: the lower end of the slope is over the limit, several times in a row."""
        limit = self.levels.growth_limit
        over = growth is not None and growth.lower > limit
        self._leak_looks = self._leak_looks + 1 if over else 0
        if growth is None or not self._begins("leak", "", self._leak_looks >= LEAK_LOOKS):
            return []
        text = (
            f"Memory grows by {size(growth.per_request)} with each request ({size(growth.lower)} to"
            f" {size(growth.upper)}, 95 %), {size(growth.per_hour)} per hour; the limit is"
            f" {size(limit)} per request."
        )
        if growth.reached_in_s is not None:
            text += (
                f" At this rate the critical mark is reached in {duration(growth.reached_in_s)}."
            )
        return self._raise("leak", "warning", at_s, text)

    # ------------------------------------------------------------------ requests

    def on_request(
        self, seen: Request, figures: Figures, recent_wrong: Sequence[bool] = ()
    ) -> list[Alert]:
        """A failure; a wrong answer to what was right before; too many wrong ones to new questions.

        ``recent_wrong`` are the last new questions. A canary is right in 95 % of them, so a few
        wrong answers are its own.
        """
        self.request = seen.number
        total = f"{figures.requests} requests"
        if seen.outcome == "failed":
            text = f"Request {seen.number} failed ({seen.failure}): {seen.text}"
            return self._raise(
                "failure", "warning", seen.at_s, f"{text} [{figures.failed} of {total}]"
            )
        if seen.outcome == "wrong":
            said = repr(seen.text) if seen.text else "nothing"
            text = f"Request {seen.number} ({seen.question}) was answered wrongly with {said}"
            if seen.again:
                text += ", and was answered rightly before"
            elif seen.text and not too_many_wrong(sum(recent_wrong), len(recent_wrong)):
                return []
            else:
                text += f"; {sum(recent_wrong)} of the last {len(recent_wrong)} new ones were wrong"
            return self._raise(
                "wrong_answer", "warning", seen.at_s, f"{text} [{figures.wrong} of {total}]"
            )
        return []

    def on_restart(self, at_s: float, how: str) -> list[Alert]:
        """Another process answers than before; what it holds is counted anew."""
        return self._raise("restart", "warning", at_s, how)

    def on_load(self, seen: Loaded) -> list[Alert]:
        """Load time against the limit for this size."""
        limit = self.levels.load_limit_s
        if seen.load_s <= limit:
            return []
        text = f"Loading took {figure(seen.load_s)} s; the limit for this size is {figure(limit)} s"
        return self._raise("load", "warning", seen.at_s, f"{text}.")

    # ------------------------------------------------------------------ speed

    def on_speed(self, figures: Figures, recent: Sequence[float], at_s: float) -> list[Alert]:
        """Decoding against the floor, and the end against the beginning.

        Not judged while other work runs on the machine: what it takes is then not the subject's.
        """
        if self._busy:
            return []
        floor = self.levels.floor_tps
        slow = bool(floor) and len(recent) >= MIN_RECENT and median(recent) < floor
        found = []
        if self._begins("slow", "", slow):
            text = (
                f"Decoding runs at {figure(median(recent))} tok/s over the last {len(recent)}"
                f" answers; the floor is {figure(floor)} tok/s ({self.levels.floor_why})."
            )
            found += self._raise("slow", "warning", at_s, text)
        busy = figures.minutes_of_other_work > BUSY_SHARE * figures.minutes
        limit = 0.0 if busy or at_s < DRIFT_AFTER_S else self.levels.drift_limit
        for name, ratio in (
            ("decoding", figures.decode_drift),
            ("the time to first token", figures.ttft_drift),
        ):
            over = bool(limit) and ratio is not None and ratio > limit
            if self._begins("throttled", name, over):
                assert ratio is not None
                text = (
                    f"The last quarter of {name} is slower than the first by {ratio - 1:.0%};"
                    f" over {limit - 1:.0%} the machine or the server did not stay in one state."
                )
                found += self._raise("throttled", "warning", at_s, text, name)
        return found

    def on_conditions(self, conditions: Sequence[Condition], at_s: float) -> list[Alert]:
        """The operating system's word on the last minute; other work is a note."""
        found = []
        self._busy = False
        for one in conditions:
            other_work = one.name == "load_in_the_run"
            self._busy |= other_work and not one.fit
            if not self._begins("machine", one.name, not one.fit):
                continue
            note = f" ({one.note})" if one.note else ""
            text = f"{one.name.replace('_', ' ')} was {one.value}{note}."
            if other_work:
                found += self._raise("other_work", "note", at_s, f"Speed is not judged: {text}")
            else:
                text = f"The machine: {text}"
                found += self._raise("machine", "warning", at_s, text, one.name)
        return found

    def on_log(self, at_s: float, sentence: str) -> list[Alert]:
        """The log can no longer be written."""
        return self._raise("log", "warning", at_s, sentence)

    # ------------------------------------------------------------------ on and off

    def _marks(
        self,
        kind: AlertKind,
        what: str,
        used: float,
        warning: float,
        critical: float,
        at_s: float,
    ) -> list[Alert]:
        found: list[Alert] = []
        marks: tuple[tuple[Level, float], ...] = (("critical", critical), ("warning", warning))
        for level, mark in marks:
            # Where the critical mark is passed at once, the warning beside it says nothing more.
            if not self._crosses(kind, level, used, mark) or found:
                continue
            total = self.levels.memory_bytes
            share = f", {used / total:.0%} of {size(total)}" if total else ""
            text = f"{what} {size(used)}{share}: over the {level} mark of {size(mark)}."
            found += self._raise(kind, level, at_s, text, level)
        return found

    def _crosses(self, kind: str, level: str, used: float, mark: float) -> bool:
        was = self._on.get((kind, level), False)
        over = bool(mark) and used > (mark * REARM if was else mark)
        return self._begins(kind, level, over)

    def _begins(self, kind: str, which: str, now: bool) -> bool:
        was = self._on.get((kind, which), False)
        self._on[kind, which] = now
        return now and not was

    def _raise(
        self, kind: AlertKind, level: Level, at_s: float, sentence: str, which: str = ""
    ) -> list[Alert]:
        key = (kind, which)
        if key in self._said and at_s - self._said[key] < QUIET_S:
            return []
        self._said[key] = at_s
        if level != "note":
            self.raised[kind] = self.raised.get(kind, 0) + 1
        return [Alert(kind, level, at_s, self.request, sentence)]
