"""Has a worker fetch weights, and says meanwhile how far that is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from qualification.core.declarations import Deployment
from qualification.core.errors import WeightsUnavailable, WorkerError
from qualification.core.format import bytes_of_text, bytes_text, duration_text
from qualification.core.hub import SAYS
from qualification.core.protocol import LoadRequest
from qualification.core.text import one_line
from qualification.models.downloads import Download, plan, progress
from qualification.session.context import RunContext
from qualification.session.worker import Worker

EVERY_S = 5.0
"""How often a download says how far it is."""

_DEADLINE_S = 24 * 3600.0
_WINDOW = 7
"""Samples that the speed is taken over: half a minute."""


def fetch(
    worker: Worker, request: LoadRequest, context: RunContext, deployment: Deployment
) -> None:
    """Have the weights on this machine; whatever a download does, no model has failed.

    What nobody has planned, and so said yes to, is not downloaded.
    """
    name = deployment.identifier
    planned = [entry for entry in context.fetching.plan if name in entry.deployments]
    pending = [entry for entry in planned or plan([deployment]) if not entry.is_whole]
    if pending and not planned:
        raise WeightsUnavailable(
            f"{pending[0].subject} is not whole on this machine, and nobody has said yes to "
            f"downloading it: hf download {pending[0].repository} --revision {pending[0].revision}"
        )
    watch: Callable[[], object] | None = None
    if context.fetching.say is not None and pending:
        watch = Watch(pending, worker.log, context.fetching.say)
    try:
        with context.fetching.timed():
            worker.fetch(request, deadline_s=_DEADLINE_S, on_wait=watch)
    except WeightsUnavailable:
        raise
    except WorkerError as error:
        raise WeightsUnavailable(
            f"{request.repository}@{request.revision} could not be fetched: {error}; try: "
            f"hf download {request.repository} --revision {request.revision}",
            stderr_tail=error.stderr_tail,
        ) from error


class Watch:
    """Called often while a worker downloads; says a line every 5 s, and what the worker says."""

    def __init__(
        self,
        downloads: Sequence[Download],
        log: Callable[[], str],
        say: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._downloads = downloads
        self._log = log
        self._say = say
        self._clock = clock
        self._spoken = 0
        self._due_s = clock() + EVERY_S
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._sample()

    def __call__(self) -> None:
        """Say what is due."""
        if self._clock() < self._due_s:
            return
        self._due_s = self._clock() + EVERY_S
        lines = [line for line in self._log().splitlines() if line.startswith(SAYS)]
        for line in lines[self._spoken :]:
            self._say(one_line(line.removeprefix(SAYS)))
        self._spoken = len(lines)
        self._sample()
        self._say(self.line())

    def line(self) -> str:
        """For example ``downloading owner/name 1.20 of 4.60 GB, 35.0 MB/s, about 2 min left``."""
        names = ", ".join(entry.subject for entry in self._downloads)
        done, total = self._progress()
        if not total:
            return f"downloading {names}, size unknown"
        words = [f"downloading {names} {bytes_of_text(done, total)}"]
        (before_s, before), (now_s, now) = self._samples[0], self._samples[-1]
        if now > before:
            rate = (now - before) / (now_s - before_s)
            words.append(f"{bytes_text(rate)}/s")
            if done < total:
                words.append(f"about {_duration((total - done) / rate)} left")
        return ", ".join(words)

    def _progress(self) -> tuple[int, int]:
        amounts = [progress(entry) for entry in self._downloads]
        return sum(done for done, _ in amounts), sum(total for _, total in amounts)

    def _sample(self) -> None:
        self._samples.append((self._clock(), self._progress()[0]))


def _duration(seconds: float) -> str:
    """To the minute from a minute and a half on."""
    if seconds < 90:
        return duration_text(seconds)
    return duration_text(60 * round(seconds / 60)).removesuffix(" 0 s")
