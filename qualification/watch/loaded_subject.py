"""A deployment in a worker process of ours, loaded as the suites load it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from qualification.core.declarations import Deployment, Tier
from qualification.core.errors import QualificationError, SelectionError
from qualification.core.protocol import LoadReport, Message
from qualification.core.results import Machine
from qualification.machine.monitor import own_seconds
from qualification.machine.process_tree import Tree
from qualification.models.memory_fit import does_not_fit, predict
from qualification.models.weights import tensors_here
from qualification.servers.admin_status import WorkerStatus
from qualification.session.context import NOTHING, Fetching, RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request
from qualification.session.scratch import make_scratch, remove_scratch
from qualification.session.session import outside_cause
from qualification.tasks.questions import skills_of
from qualification.watch.records import MemorySample
from qualification.watch.subject import RequestFailed, TimedAnswer, memory_sample

if TYPE_CHECKING:
    from qualification.models.registry import Registry
    from qualification.tasks.questions import Question

DEADLINE_S = 600.0


class LoadedSubject:
    """Loads when it is made, and raises what loading raises.

    If its worker has ended, the next request loads it again. ``tokens`` is the fixed length of
    every answer, 0 for answers that stop by themselves.
    """

    self_report: Callable[[], tuple[WorkerStatus, ...]] | None = None

    def __init__(
        self,
        deployment: Deployment,
        registry: Registry,
        *,
        machine: Machine,
        tier: Tier | None,
        tokens: int = 0,
        deadline_s: float = DEADLINE_S,
        fetching: Fetching = NOTHING,
    ) -> None:
        predicted = predict(deployment, registry, tensors_here(deployment))
        if problem := does_not_fit(predicted, machine, tier):
            raise SelectionError(f"{deployment.identifier} does not fit: {problem}")
        self._deployment = deployment
        self._memory_bytes = machine.memory_bytes
        self._tokens = tokens
        self._report: LoadReport | None = None
        self._new_loads: list[float] = []
        self._tree = Tree(self._roots)
        self._scratch = make_scratch("watch")
        context = RunContext(
            machine,
            tier,
            self._scratch,
            deadline_s=deadline_s,
            fetching=fetching,
        )
        self._images = context.images
        try:
            request = prepared_request(deployment, context)
            self._deployed = Deployed(deployment, request, context, Journal())
        except BaseException:
            remove_scratch(self._scratch)
            raise
        self._note_load()

    @property
    def title(self) -> str:
        """See :class:`Subject`."""
        return self._deployment.identifier

    @property
    def revision(self) -> str:
        """See :class:`Subject`."""
        return self._deployed.load_report.revision

    @property
    def memory_of(self) -> str:
        """See :class:`Subject`."""
        return f"{self._tree.describe() or 'the worker'} and its descendants"

    @property
    def skills(self) -> tuple[str, ...]:
        """See :class:`Subject`."""
        return skills_of(self._deployment.model)

    @property
    def is_canary(self) -> bool:
        """See :class:`Subject`. An answer of a fixed length does not stop at its end."""
        return self._deployed.is_canary and not self._tokens

    def new_loads(self) -> tuple[float, ...]:
        """See :class:`Subject`."""
        loads, self._new_loads = tuple(self._new_loads), []
        return loads

    def prepare(self, question: Question) -> tuple[Message, ...]:
        """See :class:`Subject`."""
        # Each image is asked once; a run of days would otherwise fill the disk with them.
        for old in sorted(self._images.iterdir()):
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
        return self._deployed.messages(question)

    def ask(self, request: tuple[Message, ...]) -> TimedAnswer:
        """See :class:`Subject`."""
        try:
            generation = self._deployed.converse(
                *request, max_tokens=self._tokens, fixed_length=bool(self._tokens)
            )
        except QualificationError as error:
            if outside_cause(self._deployment, error):
                raise  # the machine's fault is no failure of a request: the watch ends with it
            raise RequestFailed(getattr(error, "kind", "failed"), str(error)) from error
        finally:
            self._note_load()
        return TimedAnswer(
            text=generation.text.strip(),
            ttft_s=_or_none(generation.ttft_s),
            decode_tps=_or_none(generation.decode_tps),
            e2e_s=generation.e2e_s,
            tokens=len(generation.token_times_s),
        )

    def sample_memory(self) -> MemorySample:
        """See :class:`Subject`."""
        return memory_sample(self._tree, self._memory_bytes)

    def own_seconds(self) -> dict[int, float]:
        """See :class:`Subject`. The worker is a descendant of this program."""
        return own_seconds()

    def close(self) -> None:
        """See :class:`Subject`."""
        try:
            self._deployed.close()
        finally:
            remove_scratch(self._scratch)

    def _roots(self) -> list[int]:
        pid = self._deployed.worker_pid
        return [] if pid is None else [pid]

    def _note_load(self) -> None:
        report = self._deployed.load_report
        if report is not self._report:
            self._report = report
            self._new_loads.append(report.load_s)


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
