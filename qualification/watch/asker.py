"""One thread that makes the requests, so that the run can sample memory and time meanwhile.

The thread is a daemon: a request that hangs does not keep a run from ending.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qualification.servers.admin_status import StatusUnavailable, WorkerStatus
from qualification.tasks.questions import Question
from qualification.watch.records import MemorySample
from qualification.watch.subject import RequestFailed, Subject, TimedAnswer

SELF_REPORT_EVERY_S = 60.0


@dataclass(frozen=True)
class SoakReply:
    """The outcome of one question; ``memory`` was sampled right after it."""

    question: Question
    at_s: float
    memory: MemorySample
    answer: TimedAnswer | None = None
    failure: str = ""
    sentence: str = ""
    loads: tuple[float, ...] = ()
    workers: tuple[WorkerStatus, ...] | None = None


class Asker:
    """Asks one question for each call of :meth:`ask`. ``started`` is a moment of ``clock``."""

    def __init__(
        self,
        subject: Subject,
        questions: Iterator[Question],
        *,
        started: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subject = subject
        self._questions = questions
        self._started = started
        self._clock = clock
        self._self_report_due = started
        self._orders: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[SoakReply | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="asker", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Have the next question asked."""
        self._orders.put(True)

    def reply(self, timeout_s: float) -> SoakReply | None:
        """The reply, or ``None`` while there is none; raises what broke the thread."""
        try:
            reply = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def stop(self, timeout_s: float) -> None:
        """End the thread after the request that is running, if that ends in time."""
        self._orders.put(False)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while self._orders.get():
                self._replies.put(self._next_reply())
        except BaseException as error:
            self._replies.put(error)

    def _next_reply(self) -> SoakReply:
        subject = self._subject
        question = next(self._questions)
        request = subject.prepare(question)
        answer, failure, sentence = None, "", ""
        try:
            answer = subject.ask(request)
        except RequestFailed as error:
            failure, sentence = error.kind, str(error)
        memory = subject.sample_memory()
        return SoakReply(
            question=question,
            at_s=self._clock() - self._started,
            memory=memory,
            answer=answer,
            failure=failure,
            sentence=sentence,
            loads=subject.new_loads(),
            workers=self._self_report(),
        )

    def _self_report(self) -> tuple[WorkerStatus, ...] | None:
        ask = self._subject.self_report
        if ask is None or self._clock() < self._self_report_due:
            return None
        self._self_report_due = self._clock() + SELF_REPORT_EVERY_S
        try:
            return ask()
        except StatusUnavailable:  # the request's own failure says more
            return None
