"""What a soak test writes and reads again: one JSON object per line, distinguished by ``kind``.

The names of the fields are the keys of the log. Times are seconds, sizes are bytes, rates are per
second; ``at_s`` is since the run began. ``None`` is what could not be observed. Texts of a model or
a server are disarmed before they come here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from qualification.core.results import Condition
from qualification.judging.thresholds import Thresholds
from qualification.servers.admin_status import WorkerStatus

LOG_VERSION = 1
"""The version of a log's lines; it rises when older lines cannot be read any more."""

Outcome = Literal["ok", "wrong", "failed"]
Severity = Literal["note", "warning", "critical"]
AlertKind = Literal[
    "machine_memory",
    "subject_memory",
    "leak",
    "slow",
    "throttled",
    "load",
    "restart",
    "failure",
    "wrong_answer",
    "machine",
    "other_work",
    "log",
]
Ended = Literal["time", "requests", "critical memory", "interrupted", "failures", "not yet"]


@dataclass(frozen=True)
class Header:
    """The first line of a log. ``revision`` is that of the weights, '' where it is not known."""

    identifier: str
    started: str
    subject: str
    memory_of: str
    machine: str
    levels: Thresholds
    answers_checked: bool
    every_s: float
    planned_s: float
    seed: int
    version: int = LOG_VERSION
    revision: str = ""
    kind: Literal["header"] = "header"


@dataclass(frozen=True)
class MemorySample:
    """Memory at one moment. ``identity`` names the processes by number and start time.

    ``held_bytes`` is the private memory of the subject's process tree (anonymous memory, also if it
    is swapped out; macOS: the footprint); ``resident_bytes`` counts mapped files as well.
    """

    machine_used_bytes: int
    held_bytes: int | None = None
    resident_bytes: int | None = None
    identity: str = ""


@dataclass(frozen=True)
class Request:
    """One request and the memory right after it.

    ``named_answer``: the text contains the expected answer, which is recorded and, for a real
    model, not judged. ``again``: the question was answered correctly before. ``failure`` is the
    kind of a failed request; ``text`` is then its sentence, else the answer.
    """

    number: int
    at_s: float
    question: str
    outcome: Outcome
    look: MemorySample
    ttft_s: float | None = None
    decode_tps: float | None = None
    e2e_s: float | None = None
    tokens: int = 0
    named_answer: bool = False
    again: bool = False
    failure: str = ""
    text: str = ""
    kind: Literal["request"] = "request"


@dataclass(frozen=True)
class Alert:
    """A finding. One of level ``note`` is shown and does not count as a finding."""

    alert: AlertKind
    level: Severity
    at_s: float
    request: int
    sentence: str
    kind: Literal["alert"] = "alert"


@dataclass(frozen=True)
class Loaded:
    """The subject was loaded, or loaded again."""

    at_s: float
    load_s: float
    kind: Literal["loaded"] = "loaded"


@dataclass(frozen=True)
class MachineState:
    """The conditions of the machine over the last minute."""

    at_s: float
    conditions: tuple[Condition, ...]
    kind: Literal["machine"] = "machine"


@dataclass(frozen=True)
class SelfReport:
    """The server's report of itself by ``/v1/admin/status``."""

    at_s: float
    workers: tuple[WorkerStatus, ...]
    kind: Literal["status"] = "status"


@dataclass(frozen=True)
class Quantiles:
    """Two quantiles of ``count`` values; ``None`` under :data:`tally.MIN_QUANTILE` values."""

    count: int = 0
    p50: float | None = None
    tail: float | None = None


@dataclass(frozen=True)
class LeakSlope:
    """The memory leak slope: Theil-Sen over private memory, with its 95 % interval.

    ``samples`` are taken from the ``requests`` since the subject (re)started, without a warm-up.
    ``reached_in_s``: when the nearest critical threshold is reached at this rate; ``None`` if the
    slope is not significantly above 0.
    """

    per_request: float
    lower: float
    upper: float
    per_hour: float
    samples: int
    requests: int
    reached_in_s: float | None = None


@dataclass(frozen=True)
class Figures:
    """The observations so far."""

    elapsed_s: float = 0.0
    requests: int = 0
    ok: int = 0
    wrong: int = 0
    failed: int = 0
    named_answer: int = 0
    restarts: int = 0
    tokens_p50: float | None = None
    ttft_s: Quantiles = Quantiles()
    decode_tps: Quantiles = Quantiles()
    e2e_s: Quantiles = Quantiles()
    machine_used_bytes: int = 0
    machine_peak_bytes: int = 0
    held_bytes: int | None = None
    resident_bytes: int | None = None
    resident_peak_bytes: int | None = None
    growth: LeakSlope | None = None
    ttft_drift: float | None = None
    decode_drift: float | None = None
    load_s: tuple[float, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    minutes: int = 0
    minutes_of_other_work: int = 0


@dataclass(frozen=True)
class Summary:
    """The last line of a log. ``alerts``: how often each kind was raised, without notes."""

    ended: Ended
    figures: Figures
    alerts: dict[str, int] = field(default_factory=dict)
    kind: Literal["summary"] = "summary"


Line = Header | Request | Alert | Loaded | MachineState | SelfReport | Summary
"""One line of a log."""
