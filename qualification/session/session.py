"""One run on one machine: each deployment is loaded once for all suites, one at a time."""

from __future__ import annotations

import contextlib
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
from qualification.machine.boot import boot_identity
from qualification.machine.monitor import Monitor
from qualification.session.context import RunContext
from qualification.session.deployed import Deployed
from qualification.session.journal import Journal
from qualification.session.loading import prepared_request
from qualification.session.run_journal import SCHEMA_VERSION, Header, Kept, RunFile

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


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a process keeps its part of a session's journal, and what it is to know.

    ``selected`` are the tests to try, by deployment. ``earlier`` is what the attempts before left,
    None for the first one.
    """

    folder: Path
    number: int = 1
    attempt: int = 1
    process: str = "main"
    arguments: tuple[str, ...] = ()
    selection: str = ""
    selected: dict[str, int] = dataclasses.field(default_factory=dict)
    earlier: Kept | None = None

    @property
    def identifier(self) -> str:
        """The session's."""
        return self.folder.name


def parallel_condition(processes: int) -> Condition:
    """The condition that makes every figure unfit: the processes shared the machine."""
    return Condition(
        "parallel", f"{processes} processes at once", False, "for figures run without -n"
    )


def new_identifier() -> str:
    """Of a session that begins: its time of the day for people, the rest for everything else."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"


class QualificationSession:
    """Holds at most one loaded deployment at a time, and the journal of the whole run."""

    def __init__(
        self,
        context: RunContext,
        environment: Environment,
        conditions: Sequence[Condition],
        place: Place,
    ) -> None:
        self.journal = Journal()
        self.record = Session(
            identifier=place.identifier,
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            machine=context.machine,
            environment=environment,
            conditions=tuple(conditions),
            selection=place.selection,
        )
        self._file = self._journal_file(place)
        self._context = context
        self._current: Deployed | None = None
        self._failures: dict[str, str] = {}
        self._monitor = Monitor()

    def _journal_file(self, place: Place) -> RunFile:
        """This process's file; what earlier attempts finished comes to the journal first."""
        if place.earlier is not None:
            self.journal = place.earlier.journal
            record = place.earlier.session
            self.record = dataclasses.replace(self.record, started=record.started)
        header = Header(
            SCHEMA_VERSION,
            "run",
            place.number,
            place.attempt,
            place.process,
            self.record,
            place.arguments,
            boot_identity(),
        )
        file = RunFile(place.folder, header)
        file.skip(self.journal)
        self.journal.on_answer = lambda deployment, name: file.answered(
            name, deployment, self.journal.kept(deployment, name)
        )
        file.selected(place.selected)
        return file

    def finish(self, test: str, deployment: str) -> None:
        """A test is over; what it left is on the disk when this returns."""
        self._file.finished(test, deployment, self.journal)

    def deployed(self, deployment: Deployment) -> Deployed:
        """The loaded deployment, the one before it unloaded; NotLoaded after a failure."""
        identifier = deployment.identifier
        if self._current is not None and self._current.identifier == identifier:
            return self._current
        if identifier in self._failures:
            raise NotLoaded(f"{identifier} is not loaded: {self._failures[identifier]}")
        self.release()
        self._file.begin(identifier)
        try:
            request = prepared_request(deployment, self._context)
            self._current = Deployed(deployment, request, self._context, self.journal)
        except QualificationError as error:
            self._failures[identifier] = f"{type(error).__name__}{NOT_LOADED}"
            self._file.end(identifier)
            raise
        return self._current

    def release(self) -> None:
        """Unload the loaded deployment, if there is one."""
        if self._current is not None:
            self._current.close()
            self._file.end(self._current.identifier)
            self._current = None

    def close(self) -> None:
        """Unload, and record what happened to the machine during the run."""
        with contextlib.suppress(OSError):  # a journal without a place has ended the run already
            self.release()
        conditions = (*self.record.conditions, *self._monitor.stop())
        self.record = dataclasses.replace(self.record, conditions=conditions)
        with contextlib.suppress(OSError):
            self._file.close(conditions)
