"""A deployment in a worker process of ours, loaded as the suites load it."""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qualification.core.declarations import Deployment, Tier, answers_at_random
from qualification.core.errors import QualificationError, SelectionError
from qualification.core.protocol import LoadReport, LoadRequest, Message
from qualification.core.results import Machine
from qualification.machine.monitor import own_seconds
from qualification.machine.process_tree import Tree
from qualification.models.memory_fit import critical_memory_bytes, does_not_fit, predict
from qualification.models.weights import check_files, check_manifest, load_request, tensors_here
from qualification.servers.admin_status import WorkerStatus
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.worker import Worker
from qualification.tasks.questions import skills_of
from qualification.watch.look import look
from qualification.watch.records import Look
from qualification.watch.subject import Answer, RequestFailed

if TYPE_CHECKING:
    from qualification.models.registry import Registry
    from qualification.tasks.questions import Question

LOAD_DEADLINE_S = 3600.0
DEADLINE_S = 600.0


class LoadedSubject:
    """Loads at once; raises what loading raises. A worker that ended is loaded again when asked.

    ``tokens`` is the fixed length of every answer, 0 for answers that stop by themselves.
    """

    server_word: Callable[[], tuple[WorkerStatus, ...]] | None = None

    def __init__(
        self,
        deployment: Deployment,
        registry: Registry,
        *,
        machine: Machine,
        tier: Tier | None,
        fixtures: Path,
        tokens: int = 0,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        if problem := does_not_fit(
            predict(deployment, registry, tensors_here(deployment, fixtures)), machine, tier
        ):
            raise SelectionError(f"{deployment.identifier} does not fit: {problem}")
        self._deployment = deployment
        self._memory_bytes = machine.memory_bytes
        self._limit = critical_memory_bytes(machine, tier) or None
        self._tokens = tokens
        self._worker: Worker | None = None
        self._report: LoadReport | None = None
        self._new_loads: list[float] = []
        self._tree = Tree(self._roots)
        self._scratch = Path(tempfile.mkdtemp(prefix="qualify-watch-"))
        self._pictures, self._kernels = self._scratch / "pictures", self._scratch / "kernels"
        for folder in (self._pictures, self._kernels):
            folder.mkdir()
        try:
            self._deployed = Deployed(
                deployment,
                _request(deployment, fixtures, self._limit),
                Journal(),
                self._pictures,
                machine=machine,
                tier=tier,
                start_worker=self._start,
                load_deadline_s=LOAD_DEADLINE_S,
                deadline_s=deadline_s,
            )
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        self._note_load()

    @property
    def title(self) -> str:
        """See :class:`Subject`."""
        return self._deployment.identifier

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
        """See :class:`Subject`. With a fixed length an answer goes on behind its end."""
        return self._deployed.is_canary and not self._tokens

    def new_loads(self) -> tuple[float, ...]:
        """See :class:`Subject`."""
        found, self._new_loads = tuple(self._new_loads), []
        return found

    def prepare(self, question: Question) -> tuple[Message, ...]:
        """See :class:`Subject`."""
        # Each picture is asked once; a run of days would otherwise fill the disk with them.
        for old in sorted(self._pictures.iterdir()):
            shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
        return self._deployed.messages(question)

    def ask(self, request: tuple[Message, ...]) -> Answer:
        """See :class:`Subject`."""
        try:
            found = self._deployed.converse(
                *request, max_tokens=self._tokens, fixed_length=bool(self._tokens)
            )
        except QualificationError as error:
            raise RequestFailed(getattr(error, "kind", "failed"), str(error)) from error
        finally:
            self._note_load()
        return Answer(
            text=found.text.strip(),
            ttft_s=_or_none(found.ttft_s),
            decode_tps=_or_none(found.decode_tps),
            e2e_s=found.e2e_s,
            tokens=len(found.token_times_s),
        )

    def look(self) -> Look:
        """See :class:`Subject`."""
        return look(self._tree, self._memory_bytes)

    def own_seconds(self) -> dict[int, float]:
        """See :class:`Subject`. The worker is a descendant of this program."""
        return own_seconds()

    def close(self) -> None:
        """See :class:`Subject`."""
        try:
            self._deployed.close()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self) -> Worker:
        source = self._deployment.source
        self._worker = Worker(
            python=sys.executable,
            memory_limit=self._limit,
            environment=source.environment,
            kernels=self._kernels if source.weights == "canary" else None,
        )
        return self._worker

    def _roots(self) -> list[int]:
        return [self._worker.pid] if self._worker is not None and self._worker.alive else []

    def _note_load(self) -> None:
        report = self._deployed.load_report
        if report is not self._report:
            self._report = report
            self._new_loads.append(report.load_s)


def _request(deployment: Deployment, fixtures: Path, limit: float | None) -> LoadRequest:
    """What the worker is asked to load; files are checked, random weights made where missing."""
    request = load_request(deployment, fixtures)
    if answers_at_random(deployment):
        from qualification.models.synthetic.cache import ready

        folder = ready(deployment, fixtures, memory_limit=limit or float("inf"))
        request = dataclasses.replace(request, path=str(folder))
    if request.weights == "canary" and request.path:
        check_manifest(Path(request.path).parent, Path(request.path))
    check_files(request)
    return request


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
