"""One run on one machine: each deployment is loaded once for all suites, one at a time."""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from qualification.core.declarations import Deployment
from qualification.core.disk import full_disk, is_of_a_full_disk
from qualification.core.errors import (
    DiskFull,
    QualificationError,
    WeightsError,
    WeightsUnavailable,
)
from qualification.core.results import Condition, Environment, Session
from qualification.machine.monitor import Monitor
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal, Run
from qualification.session.loading import prepared_request

NOT_LOADED = ", see its first test"
"""Suffix of the skip reason for the remaining tests of a deployment that failed to load."""


class NotLoaded(QualificationError):
    """The deployment failed to load for an earlier test, so its other tests cannot run."""


def is_its_own_fault(deployment: Deployment, error: QualificationError) -> bool:
    """Whether a failure to load counts against the model or its library.

    Nothing that :func:`outside_cause` names does, nor whatever keeps a user's server from
    answering: what could not be tried stays untested.
    """
    return deployment.source.server != "url" and not outside_cause(deployment, error)


def outside_cause(deployment: Deployment, error: BaseException) -> str:
    """The sentence of a failure that neither the model nor its library has caused, else ''.

    At any time of a run: weights that are damaged or gone, and a full disk. A canary's files belong
    to the project.
    """
    if isinstance(error, WeightsError) and deployment.source.weights == "canary":
        return ""
    if isinstance(error, WeightsError | WeightsUnavailable | DiskFull):
        return str(error)
    if is_of_a_full_disk(error):
        return f"{full_disk(Path(tempfile.gettempdir()))} ({type(error).__name__}: {error})"
    return ""


class QualificationSession:
    """Holds at most one loaded deployment at a time, and the journal of the whole run."""

    def __init__(
        self,
        context: RunContext,
        environment: Environment,
        conditions: Sequence[Condition],
        selection: str = "",
    ) -> None:
        self.journal = Journal()
        self.deployments: dict[str, Deployment] = {}
        started = datetime.datetime.now(datetime.UTC)
        self.record = Session(
            identifier=f"{started:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}",
            started=started.isoformat(timespec="seconds"),
            machine=context.machine,
            environment=environment,
            conditions=tuple(conditions),
            selection=selection,
        )
        self._context = context
        self._current: Deployed | None = None
        self._failures: dict[str, str] = {}
        self._monitor = Monitor()

    @property
    def run(self) -> Run:
        """The record, the journal and the deployments so far."""
        return Run(self.record, self._context.tier, self.journal, self.deployments)

    def deployed(self, deployment: Deployment) -> Deployed:
        """The loaded deployment, the one before it unloaded; NotLoaded after a failure."""
        identifier = deployment.identifier
        self.deployments[identifier] = deployment
        if self._current is not None and self._current.identifier == identifier:
            return self._current
        if identifier in self._failures:
            raise NotLoaded(f"{identifier} is not loaded: {self._failures[identifier]}")
        self.release()
        try:
            request = prepared_request(deployment, self._context)
            self._current = Deployed(deployment, request, self._context, self.journal)
        except QualificationError as error:
            self._failures[identifier] = f"{type(error).__name__}{NOT_LOADED}"
            raise
        return self._current

    def release(self) -> None:
        """Unload the loaded deployment, if there is one."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def close(self, *, interrupted: bool = False) -> None:
        """Unload, and record what happened to the machine during the run."""
        self.release()
        during = self._monitor.stop()
        if interrupted:
            during = (*during, Condition("run", "interrupted", False, "not all of it was tried"))
        self.record = dataclasses.replace(
            self.record, conditions=(*self.record.conditions, *during)
        )
