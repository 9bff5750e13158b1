"""Runs a soak test: asks until the time is over, samples the machine, and ends in good order.

Memory is sampled right after each request, and every half second while a request is running. The
other samples (heat, throttling, swap, other work) are taken every few seconds and judged once a
minute.
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
from qualification.machine.monitor import PERIOD_S, MonitorSample, conditions_during, take_sample
from qualification.tasks.questions import is_correct, says_the_answer
from qualification.watch.alerts import Rules
from qualification.watch.asker import Asker, SoakReply
from qualification.watch.log import Log
from qualification.watch.question_stream import Questions
from qualification.watch.records import (
    Alert,
    Ended,
    Figures,
    Header,
    Line,
    Loaded,
    MachineState,
    MemorySample,
    Request,
    SelfReport,
    Summary,
)
from qualification.watch.subject import TEXT_LIMIT, Subject
from qualification.watch.tally import Tally

TICK_S = 0.5
"""Between two memory samples while a request is running."""

STATE_EVERY_S = 60.0
"""Between two judgments of the machine's state."""

FIGURES_EVERY_S = 2.0
"""Between two computations of the figures, which take some milliseconds."""

PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Pause after a failure; it doubles with each further failure in a row, up to the longest."""

STOP_S = 3.0
"""How long a request that is running when the run ends is waited for."""


class Observer(Protocol):
    """A screen, or the exposition of metrics."""

    def on_line(self, line: Line) -> None:
        """Take a new record."""
        ...

    def on_figures(self, figures: Figures) -> None:
        """Take the figures so far; at most every few seconds."""
        ...


@dataclass(frozen=True)
class Settings:
    """How long and how often to ask.

    ``every_s`` is the minimum time between the starts of two requests. The run ends before its time
    after ``failures`` in a row, or after ``requests`` in all (0: no such limit).
    """

    planned_s: float
    every_s: float = 0.0
    seed: int = 1
    failures: int = 10
    requests: int = 0
    pause_s: float = PAUSE_S


class _Stop(Exception):
    """The run ends, and why."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended)
        self.ended: Ended = ended


class SoakTest:
    """One soak test; :meth:`run` returns its summary and does not close the subject."""

    def __init__(
        self,
        subject: Subject,
        header: Header,
        settings: Settings,
        log: Log,
        observers: tuple[Observer, ...] = (),
        *,
        host: Host | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subject = subject
        self._settings = settings
        self._log = log
        self._observers = observers
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
        self._samples: list[MonitorSample] = [take_sample(self._host, subject.own_seconds)]
        self._counters = counters(self._host)
        self._sample_due = self._started + PERIOD_S
        self._state_due = self._started + STATE_EVERY_S

    def run(self) -> Summary:
        """Ask until something ends it, for example Ctrl-C."""
        ended: Ended = "not yet"
        self._record(self._header)
        settings, subject = self._settings, self._subject
        asker = Asker(subject, self._questions, started=self._started, clock=self._clock)
        try:
            self._take_loads(subject.new_loads())
            self._check_memory(subject.sample_memory())
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
            self._judge_state(self._now())
        return self._conclude(ended)

    # ------------------------------------------------------------------ one request

    def _wait_for(self, asker: Asker) -> SoakReply:
        while True:
            reply = asker.reply(TICK_S)
            if reply is not None:
                return reply
            self._tick()
            if self._now() >= self._settings.planned_s:
                raise _Stop("time")

    def _take(self, reply: SoakReply) -> None:
        tally = self.tally
        self._take_loads(reply.loads)
        request = self._request(reply)
        restarted = tally.add(request)
        self._record(request)
        self._take_restart(request, restarted)
        if reply.workers is not None:
            report = SelfReport(reply.at_s, reply.workers)
            tally.add_self_report(report)
            self._record(report)
        # The counts are enough here: the estimates are too slow to make for each request.
        counts = Figures(requests=tally.requests, wrong=tally.wrong, failed=tally.failed)
        self._raise(self.rules.on_request(request, counts, tally.recent_wrong))
        self._check_memory(reply.memory)
        if reply.failure == "out_of_memory":
            raise _Stop("critical memory")
        if tally.failures_in_a_row >= self._settings.failures:
            raise _Stop("failures")
        self._tick(is_sampled=True)
        if tally.requests == self._settings.requests:
            raise _Stop("requests")

    def _request(self, reply: SoakReply) -> Request:
        number, question, answer = self.tally.requests + 1, reply.question, reply.answer
        if answer is None:
            return Request(
                number=number,
                at_s=reply.at_s,
                question=question.identifier,
                outcome="failed",
                look=reply.memory,
                failure=reply.failure,
                text=disarm(reply.sentence, 2 * TEXT_LIMIT),
            )
        is_checked = self._subject.is_canary
        is_ok = is_correct(question, answer.text) if is_checked else bool(answer.text)
        again = is_checked and self._questions.was_correct(question)
        if is_checked and is_ok:
            self._questions.add_correct(question)
        return Request(
            number=number,
            at_s=reply.at_s,
            question=question.identifier,
            outcome="ok" if is_ok else "wrong",
            look=reply.memory,
            ttft_s=answer.ttft_s,
            decode_tps=answer.decode_tps,
            e2e_s=answer.e2e_s,
            tokens=answer.tokens,
            named_answer=says_the_answer(question, answer.text),
            again=again,
            text="" if is_ok and is_checked else disarm(answer.text, TEXT_LIMIT),
        )

    def _take_restart(self, request: Request, restarted: bool) -> None:
        """Report a restart: another process number or, if unobservable, a lost connection."""
        if request.outcome == "failed" and request.failure in ("refused", "connection"):
            self._gone_since = request.at_s if self._gone_since is None else self._gone_since
        gone_since, is_back = self._gone_since, request.outcome != "failed"
        if restarted:
            process = self._subject.memory_of
            text = f"Another process answers than before: {process}; its growth is counted anew."
            self._raise(self.rules.on_restart(request.at_s, text))
        elif gone_since is not None and is_back and not request.look.identity:
            self.tally.note_restart()
            gone = f"{request.at_s - gone_since:.0f} s"
            text = f"The server did not take connections for {gone} and answers again: a restart?"
            self._raise(self.rules.on_restart(request.at_s, text))
        if is_back:
            self._gone_since = None

    def _back_off(self) -> float:
        failures = self.tally.failures_in_a_row
        if not failures:
            return 0.0
        return float(min(LONGEST_PAUSE_S, self._settings.pause_s * 2 ** min(failures - 1, 20)))

    def _pause(self, until: float) -> None:
        """Wait until that second of the run, sampling meanwhile; at most to its end."""
        while True:
            now = self._now()
            if now >= self._settings.planned_s:
                raise _Stop("time")
            pause_s = min(until, self._settings.planned_s) - now
            if pause_s <= 0:
                return
            time.sleep(min(TICK_S, pause_s))
            self._tick()

    # ------------------------------------------------------------------ meanwhile

    def _tick(self, *, is_sampled: bool = False) -> None:
        """Check memory, then do what is due; ``is_sampled``: memory was checked just now."""
        now = self._clock()
        if now >= self._tick_due:
            self._tick_due = now + TICK_S
            if not is_sampled:
                self._check_memory(self._subject.sample_memory())
        at_s = self._now()
        if now >= self._sample_due:
            self._sample_due = now + PERIOD_S
            self._samples.append(take_sample(self._host, self._subject.own_seconds))
        if now >= self._state_due:
            self._judge_state(at_s)
        if now >= self._figures_due:
            self._figures_due = now + FIGURES_EVERY_S
            self._judge_figures(at_s)

    def _judge_figures(self, at_s: float) -> None:
        self._figures = self.tally.figures(at_s)
        self._raise(self.rules.on_growth(self._figures.growth, at_s))
        self._raise(self.rules.on_speed(self._figures, tuple(self.tally.recent_tps), at_s))
        for observer in self._observers:
            observer.on_figures(self._figures)

    def _check_memory(self, memory: MemorySample) -> None:
        self._raise(self.rules.on_memory(memory, self._now()))
        if self.rules.is_critical(memory):
            raise _Stop("critical memory")

    def _judge_state(self, at_s: float) -> None:
        """Judge the samples since the previous call, and keep no more than the newest."""
        self._samples.append(take_sample(self._host, self._subject.own_seconds))
        after = counters(self._host)
        conditions = (
            *conditions_between(self._counters, after),
            *conditions_during(self._samples),
        )
        self._samples, self._counters = self._samples[-1:], after
        self._state_due = self._clock() + STATE_EVERY_S
        state = MachineState(at_s, conditions)
        self.tally.add_state(state)
        self._record(state)
        self._raise(self.rules.on_conditions(conditions, at_s))

    # ------------------------------------------------------------------ recording

    def _take_loads(self, loads: tuple[float, ...]) -> None:
        for load_s in loads:
            load = Loaded(self._now(), load_s)
            self.tally.add_load(load)
            self._record(load)
            self._raise(self.rules.on_load(load))

    def _raise(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            self._record(alert)

    def _record(self, line: Line) -> None:
        was_writable = not self._log.problem
        self._log.write(line)
        for observer in self._observers:
            observer.on_line(line)
        if was_writable and self._log.problem:
            self._raise(self.rules.on_log(self._now(), self._log.problem))

    def _conclude(self, ended: Ended) -> Summary:
        at_s = self._now()
        self._judge_figures(at_s)
        summary = Summary(ended, self._figures, dict(self.rules.raised))
        self._record(summary)
        self._log.close()
        return summary

    def _now(self) -> float:
        return self._clock() - self._started
