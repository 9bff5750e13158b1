"""Every exception of the harness, in one place.

::

    QualificationError
    ├── DeclarationError        a TOML file of ours or of the user is wrong
    ├── BaselineError           a baseline file cannot be read or written
    │   └── AlreadyAccepted     a baseline has the session that was to be added
    ├── StoreError              the results database cannot be used
    ├── SelectionError          the user asked for a run that makes no sense on this machine
    ├── DatasetError            a data set of the user is missing, damaged or of another kind
    ├── EnvironmentFailed       an environment cannot be declared, resolved or built
    ├── WeightsError            weights or their headers are damaged, missing or of another kind
    ├── GateError               a gate's journal or plan cannot be used
    ├── DeviceBusy              another session measures on this machine
    ├── DiskFull                no space is left on a disk of this machine: nobody's fault
    └── WorkerError             a worker ended, or answered, in a way that is not a result
        ├── WorkerCrashed       the process died (``signal`` or ``exit_code`` says how)
        ├── WorkerTimedOut      a request outlived its deadline; the process tree was killed
        ├── WorkerOutOfMemory   over its memory limit, or the kernel or the library refused memory
        ├── BackendUnavailable  the backend's library is not installed or cannot be imported
        ├── WeightsUnavailable  the weights are not on this machine and cannot be downloaded
        ├── InvalidOutput       what came over the channel is not an answer of the protocol
        └── BackendFailed       the library raised: the product failed, the harness did not

Each message is one sentence that says what happened, where, and what to do.
"""

from __future__ import annotations

from qualification.core.text import disarm, without_keys, without_secrets


class QualificationError(Exception):
    """Base of all errors that a user of the harness may see; no message holds a secret."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class DeclarationError(QualificationError):
    """A declaration is wrong; the message names file and key."""


class BaselineError(QualificationError):
    """A baseline cannot be read or written; it is never silently ignored."""


class AlreadyAccepted(BaselineError):
    """A session is in the baseline that it was to be added to, which stays as it is."""


class StoreError(QualificationError):
    """The results database cannot be used."""


class SelectionError(QualificationError):
    """The selection does not make sense on this machine."""


class DatasetError(QualificationError):
    """A data set of the user is missing, damaged, or not the one that was asked for."""


class WeightsError(QualificationError):
    """Weights are damaged, missing, or not what was declared."""


class GateError(QualificationError):
    """A gate's journal or plan cannot be used."""


class DeviceBusy(QualificationError):
    """Another session measures on this machine, or it cannot be known whether one does."""


class EnvironmentFailed(QualificationError):
    """An environment cannot be declared, resolved or built."""


class DiskFull(QualificationError):
    """No space is left on a disk of this machine; says nothing of a model or a library.

    A worker reports it too, so it has what a :class:`WorkerError` has.
    """

    kind = "disk_full"

    def __init__(self, message: str, *, stderr_tail: str = "") -> None:
        super().__init__(disarm(message))
        self.stderr_tail = without_keys(disarm(stderr_tail))


class WorkerError(QualificationError):
    """A worker ended or answered in a way that is not a result.

    ``kind`` names the failure in records and reports.
    """

    kind = "worker_error"

    def __init__(self, message: str, *, stderr_tail: str = "") -> None:
        super().__init__(disarm(message))
        self.stderr_tail = without_keys(disarm(stderr_tail))


class WorkerCrashed(WorkerError):
    """The process died by itself, by a signal or with an exit code."""

    kind = "crashed"

    def __init__(
        self,
        message: str,
        *,
        signal: int | None = None,
        exit_code: int | None = None,
        stderr_tail: str = "",
    ) -> None:
        super().__init__(message, stderr_tail=stderr_tail)
        self.signal = signal
        self.exit_code = exit_code


class WorkerTimedOut(WorkerError):
    """A request outlived its deadline."""

    kind = "timed_out"


class WorkerOutOfMemory(WorkerError):
    """Memory ran out: our limit, the kernel's, or the library's own refusal."""

    kind = "out_of_memory"


class BackendUnavailable(WorkerError):
    """The backend's library is missing or does not import."""

    kind = "backend_unavailable"


class WeightsUnavailable(WorkerError):
    """The weights are not on this machine and there is no network to get them."""

    kind = "weights_unavailable"


class InvalidOutput(WorkerError):
    """Something other than an answer of the protocol came over the channel."""

    kind = "invalid_output"


class BackendFailed(WorkerError):
    """The library raised while it loaded or generated."""

    kind = "backend_failed"


WORKER_ERRORS: dict[str, type[WorkerError | DiskFull]] = {
    error.kind: error
    for error in (
        DiskFull,
        WorkerOutOfMemory,
        BackendUnavailable,
        WeightsUnavailable,
        InvalidOutput,
        BackendFailed,
    )
}
"""The failures that a living worker reports by name over the channel."""
