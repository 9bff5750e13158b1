"""One thread that makes the requests, so that the run can look at memory and the clock meanwhile.

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
from qualification.watch.records import Look
from qualification.watch.subject import Answer, RequestFailed, Subject

WORD_EVERY_S = 60.0


@dataclass(frozen=True)
class Reply:
    """What came of one question; ``look`` was taken right after it."""

    question: Question
    at_s: float
    look: Look
    answer: Answer | None = None
    failure: str = ""
    sentence: str = ""
    loads: tuple[float, ...] = ()
    workers: tuple[WorkerStatus, ...] | None = None


class Asker:
    """Asks one question after another, when told to. ``started`` is a moment of ``clock``."""

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
        self._word_due = started
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Reply | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="asker", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Have the next question asked."""
        self._wanted.put(True)

    def reply(self, timeout_s: float) -> Reply | None:
        """The reply, or ``None`` while it is not there; raises what broke the thread."""
        try:
            found = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self, timeout_s: float) -> None:
        """End the thread after the request that is running, if that ends in time."""
        self._wanted.put(False)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            while self._wanted.get():
                self._replies.put(self._one())
        except BaseException as error:
            self._replies.put(error)

    def _one(self) -> Reply:
        subject = self._subject
        question = next(self._questions)
        request = subject.prepare(question)
        answer, failure, sentence = None, "", ""
        try:
            answer = subject.ask(request)
        except RequestFailed as error:
            failure, sentence = error.kind, str(error)
        look = subject.look()
        at_s = self._clock() - self._started
        return Reply(
            question, at_s, look, answer, failure, sentence, subject.new_loads(), self._word()
        )

    def _word(self) -> tuple[WorkerStatus, ...] | None:
        ask = self._subject.server_word
        if ask is None or self._clock() < self._word_due:
            return None
        self._word_due = self._clock() + WORD_EVERY_S
        try:
            return ask()
        except StatusUnavailable:  # the request's own failure says more
            return None
