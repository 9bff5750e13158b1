"""One run on one machine: loads each deployment once, answers the suites, keeps what they saw."""

from __future__ import annotations

import dataclasses
import datetime
import shutil
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from qualification.core.declarations import Deployment, Tier
from qualification.core.errors import QualificationError
from qualification.core.protocol import (
    LoadRequest,
)
from qualification.core.results import Condition, Environment, Machine, Session
from qualification.machine.monitor import Watch
from qualification.models.memory_fit import critical_memory_bytes
from qualification.models.weights import check_files, check_manifest
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal, Run
from qualification.session.worker import Worker

NOT_LOADED = ", see its first test"
"""How the reason ends with which the other tests of a deployment that did not load are skipped."""


class NotLoaded(QualificationError):
    """The deployment failed to load before; its other tests have nothing to ask."""


class QualificationSession:
    """Holds at most one loaded deployment at a time, and the journal of the whole run."""

    def __init__(
        self,
        machine: Machine,
        environment: Environment,
        conditions: Sequence[Condition],
        *,
        tier: Tier | None,
        fixtures: Path,
        selection: str = "",
        load_deadline_s: float = 3600.0,
        deadline_s: float = 600.0,
        python: str = sys.executable,
    ) -> None:
        self.machine = machine
        self.tier = tier
        self._python = python
        self.journal = Journal()
        self.deployments: dict[str, Deployment] = {}
        started = datetime.datetime.now(datetime.timezone.utc)
        self.record = Session(
            identifier=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
            started=started.isoformat(timespec="seconds"),
            machine=machine,
            environment=environment,
            conditions=tuple(conditions),
            selection=selection,
        )
        self._fixtures = fixtures
        self._load_deadline_s = load_deadline_s
        self._deadline_s = deadline_s
        self._current: Deployed | None = None
        self._failures: dict[str, str] = {}
        self._pictures = Path(tempfile.mkdtemp(prefix="qualify-pictures-"))
        self._kernels = Path(tempfile.mkdtemp(prefix="qualify-kernels-"))
        self._watch = Watch()

    @property
    def run(self) -> Run:
        """What was found so far."""
        return Run(self.record, self.tier, self.journal, self.deployments)

    def deployed(self, deployment: Deployment, request: LoadRequest) -> Deployed:
        """The loaded deployment, the one before it unloaded; NotLoaded after a failure."""
        identifier = deployment.identifier
        self.deployments[identifier] = deployment
        if self._current is not None and self._current.identifier == identifier:
            return self._current
        if identifier in self._failures:
            raise NotLoaded(f"{identifier} is not loaded: {self._failures[identifier]}")
        self.release()
        if deployment.source.backend == "server":
            request = dataclasses.replace(request, python=self._python)
        try:
            self._check(request)
            self._current = Deployed(
                deployment,
                request,
                self.journal,
                self._pictures,
                machine=self.machine,
                tier=self.tier,
                start_worker=lambda: self._start_worker(deployment),
                load_deadline_s=self._load_deadline_s,
                deadline_s=self._deadline_s,
            )
        except QualificationError as error:
            self._failures[identifier] = f"{type(error).__name__}{NOT_LOADED}"
            raise
        return self._current

    def release(self) -> None:
        """Unload what is loaded."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def close(self, *, interrupted: bool = False) -> None:
        """Unload, remove the temporary pictures, and note what happened to the machine."""
        self.release()
        during = self._watch.stop()
        if interrupted:
            during = (*during, Condition("run", "interrupted", False, "not all of it was tried"))
        self.record = dataclasses.replace(
            self.record, conditions=(*self.record.conditions, *during)
        )
        for folder in (self._pictures, self._kernels):
            shutil.rmtree(folder, ignore_errors=True)

    def _check(self, request: LoadRequest) -> None:
        if request.weights == "canary" and request.path:
            folder = Path(request.path)
            check_manifest(folder.parent, folder)
        check_files(request)

    def _start_worker(self, deployment: Deployment) -> Worker:
        limit = critical_memory_bytes(self.machine, self.tier) or None
        # Loading a real model is a figure, and what compiling takes belongs to it.
        kernels = self._kernels if deployment.source.weights == "canary" else None
        # Of a server the program is qualified, not who asks it: its worker is the harness's own.
        own = deployment.source.backend == "server"
        return Worker(
            python=sys.executable if own else self._python,
            memory_limit=limit,
            environment=deployment.source.environment,
            kernels=kernels,
        )
