"""Runs: asks until the time is over, looks at the machine meanwhile, and ends in good order.

Memory is looked at right after each request, and every half second while one is running. The other
looks (heat, throttling, swap, other work) are taken every few seconds and judged once a minute.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from qualification.core.text import disarm
from qualification.machine.conditions import conditions_between, counters
from qualification.machine.host import Host, LocalHost
from qualification.machine.monitor import PERIOD_S, Sample, conditions_during, look
from qualification.tasks.questions import is_right, says_the_answer
from qualification.watch.alerts import Rules
from qualification.watch.asker import Asker, Reply
from qualification.watch.log import Log
from qualification.watch.question_stream import Questions
from qualification.watch.records import (
    Alert,
    Ended,
    Figures,
    Header,
    Line,
    Loaded,
    Look,
    MachineState,
    Request,
    ServerWord,
    Summary,
)
from qualification.watch.subject import TEXT_LIMIT, Subject
from qualification.watch.tally import Tally

TICK_S = 0.5
"""Between two looks at memory while a request is running."""

STATE_EVERY_S = 60.0
"""Between two judgments of the machine's state."""

FIGURES_EVERY_S = 2.0
"""Between two computations of the figures: they cost some milliseconds."""

PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""After the first failure in a row, twice as long after each further one, and never longer."""

STOP_S = 3.0
"""For the request that is running when the run ends."""


class Shown(Protocol):
    """A screen, or the exposition of metrics."""

    def seen(self, line: Line) -> None:
        """Something new."""
        ...

    def figures(self, figures: Figures) -> None:
        """What it amounts to; at most every few seconds."""
        ...


@dataclass(frozen=True)
class Settings:
    """``every_s``: from one request's start to the next one's at least; ``failures`` in a row.

    ``requests``: after so many the run ends before its time; 0 is no such number.
    """

    planned_s: float
    every_s: float = 0.0
    seed: int = 1
    failures: int = 10
    requests: int = 0
    pause_s: float = PAUSE_S


class _Stop(Exception):
    """Why the run ends."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.ended: Ended = ended


class Run:
    """One endurance run; :meth:`run` returns its summary and does not close the subject."""

    def __init__(
        self,
        subject: Subject,
        header: Header,
        settings: Settings,
        log: Log,
        shown: tuple[Shown, ...] = (),
        *,
        host: Host | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subject = subject
        self._settings = settings
        self._log = log
        self._shown = shown
        self._host = host or LocalHost()
        self._clock = clock
        self.tally = Tally(header.levels)
        self.rules = Rules(header.levels)
        self._header = header
        self._questions = Questions(settings.seed, subject.skills)
        self._started = clock()
        self._figures = Figures()
        self._figures_due = self._tick_due = self._started
        self._gone_since: float | None = None
        self._samples: list[Sample] = [look(self._host, subject.own_seconds)]
        self._counters = counters(self._host)
        self._sample_due = self._started + PERIOD_S
        self._state_due = self._started + STATE_EVERY_S

    def run(self) -> Summary:
        """Ask until something ends it; Ctrl-C is one of these."""
        ended: Ended = "not yet"
        self._say(self._header)
        settings, subject = self._settings, self._subject
        asker = Asker(subject, self._questions, started=self._started, clock=self._clock)
        try:
            self._loads(subject.new_loads())
            self._memory(subject.look())
            while True:
                began = self._now()
                asker.ask()
                self._take(self._wait_for(asker))
                self._pause(max(began + settings.every_s, self._now() + self._back_off()))
        except _Stop as stop:
            ended = stop.ended
        except KeyboardInterrupt:
            ended = "interrupted"
        with contextlib.suppress(KeyboardInterrupt):
            asker.stop(0.0 if ended == "critical memory" else STOP_S)
            self._state(self._now())
        return self._conclude(ended)

    # ------------------------------------------------------------------ one request

    def _wait_for(self, asker: Asker) -> Reply:
        while True:
            reply = asker.reply(TICK_S)
            if reply is not None:
                return reply
            self._tick()
            if self._now() >= self._settings.planned_s:
                raise _Stop("time")

    def _take(self, reply: Reply) -> None:
        self._loads(reply.loads)
        seen = self._request(reply)
        restarted = self.tally.add(seen)
        self._say(seen)
        self._restarts(seen, restarted)
        if reply.workers is not None:
            word = ServerWord(reply.at_s, reply.workers)
            self.tally.add_word(word)
            self._say(word)
        # For the counts only; the estimates are not needed for each request.
        counts = Figures(requests=self.tally.requests, wrong=self.tally.wrong,
                         failed=self.tally.failed)  # fmt: skip
        self._alerts(self.rules.on_request(seen, counts, self.tally.recent_wrong))
        self._memory(reply.look)
        if reply.failure == "out_of_memory":
            raise _Stop("critical memory")
        if self.tally.failures_in_a_row >= self._settings.failures:
            raise _Stop("failures")
        self._tick(looked=True)
        if self.tally.requests == self._settings.requests:
            raise _Stop("requests")

    def _request(self, reply: Reply) -> Request:
        number, at_s = self.tally.requests + 1, reply.at_s
        asked, answer = reply.question.identifier, reply.answer
        if answer is None:
            return Request(
                number, at_s, asked, "failed", reply.look,
                failure=reply.failure, text=disarm(reply.sentence, 2 * TEXT_LIMIT),
            )  # fmt: skip
        named = says_the_answer(reply.question, answer.text)
        checked = self._subject.is_canary
        right = is_right(reply.question, answer.text) if checked else bool(answer.text)
        again = checked and self._questions.is_known(reply.question)
        if checked and right:
            self._questions.was_right(reply.question)
        return Request(
            number=number,
            at_s=at_s,
            question=asked,
            outcome="ok" if right else "wrong",
            look=reply.look,
            ttft_s=answer.ttft_s,
            decode_tps=answer.decode_tps,
            e2e_s=answer.e2e_s,
            tokens=answer.tokens,
            named_answer=named,
            again=again,
            text="" if right and checked else disarm(answer.text, TEXT_LIMIT),
        )

    def _restarts(self, seen: Request, restarted: bool) -> None:
        """By the process's number, or where that is not seen by a connection lost and found."""
        if seen.outcome == "failed" and seen.failure in ("refused", "connection"):
            self._gone_since = seen.at_s if self._gone_since is None else self._gone_since
        gone, back = self._gone_since, seen.outcome != "failed"
        if restarted:
            held = self._subject.memory_of
            text = f"Another process answers than before: {held}; its growth is counted anew."
            self._alerts(self.rules.on_restart(seen.at_s, text))
        elif gone is not None and back and not seen.look.identity:
            self.tally.note_restart()
            took = f"{seen.at_s - gone:.0f} s"
            text = f"The server did not take connections for {took} and answers again: a restart?"
            self._alerts(self.rules.on_restart(seen.at_s, text))
        if back:
            self._gone_since = None

    def _back_off(self) -> float:
        failures = self.tally.failures_in_a_row
        if not failures:
            return 0.0
        return float(min(LONGEST_PAUSE_S, self._settings.pause_s * 2 ** min(failures - 1, 20)))

    def _pause(self, until: float) -> None:
        """Wait until so many seconds of the run, looking meanwhile; at most to its end."""
        while True:
            now = self._now()
            if now >= self._settings.planned_s:
                raise _Stop("time")
            left = min(until, self._settings.planned_s) - now
            if left <= 0:
                return
            time.sleep(min(TICK_S, left))
            self._tick()

    # ------------------------------------------------------------------ meanwhile

    def _tick(self, looked: bool = False) -> None:
        """Memory, then whatever is due; ``looked``: memory was looked at just now."""
        now = self._clock()
        if now >= self._tick_due:
            self._tick_due = now + TICK_S
            if not looked:
                self._memory(self._subject.look())
        at_s = self._now()
        if now >= self._sample_due:
            self._sample_due = now + PERIOD_S
            self._samples.append(look(self._host, self._subject.own_seconds))
        if now >= self._state_due:
            self._state(at_s)
        if now >= self._figures_due:
            self._figures_due = now + FIGURES_EVERY_S
            self._judge(at_s)

    def _judge(self, at_s: float) -> None:
        self._figures = self.tally.figures(at_s)
        self._alerts(self.rules.on_growth(self._figures.growth, at_s))
        self._alerts(self.rules.on_speed(self._figures, tuple(self.tally.recent_tps), at_s))
        for one in self._shown:
            one.figures(self._figures)

    def _memory(self, seen: Look) -> None:
        self._alerts(self.rules.on_memory(seen, self._now()))
        if self.rules.is_critical(seen):
            raise _Stop("critical memory")

    def _state(self, at_s: float) -> None:
        """Judge the samples since the last time, and keep no more than the newest."""
        self._samples.append(look(self._host, self._subject.own_seconds))
        after = counters(self._host)
        found = (
            *conditions_between(self._counters, after),
            *conditions_during(self._samples),
        )
        self._samples, self._counters = self._samples[-1:], after
        self._state_due = self._clock() + STATE_EVERY_S
        state = MachineState(at_s, found)
        self.tally.add_state(state)
        self._say(state)
        self._alerts(self.rules.on_conditions(found, at_s))

    # ------------------------------------------------------------------ telling

    def _loads(self, loads: tuple[float, ...]) -> None:
        for load_s in loads:
            seen = Loaded(self._now(), load_s)
            self.tally.add_load(seen)
            self._say(seen)
            self._alerts(self.rules.on_load(seen))

    def _alerts(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self._say(alert)

    def _say(self, line: Line) -> None:
        whole = not self._log.problem
        self._log.write(line)
        for one in self._shown:
            one.seen(line)
        if whole and self._log.problem:
            self._alerts(self.rules.on_log(self._now(), self._log.problem))

    def _conclude(self, ended: Ended) -> Summary:
        at_s = self._now()
        self._judge(at_s)
        summary = Summary(ended, self._figures, dict(self.rules.raised))
        self._say(summary)
        self._log.close()
        return summary

    def _now(self) -> float:
        return self._clock() - self._started
