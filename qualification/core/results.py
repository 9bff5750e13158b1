"""The records that a session leaves: machine, environment, conditions, trials, checks, verdicts.

pydantic's ``TypeAdapter`` turns stored JSON into these types (unknown keys are errors);
:func:`qualification.core.protocol.to_json` turns them back. Times are seconds, sizes are bytes,
rates are per second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from qualification.core.protocol import LoadReport

SCHEMA_VERSION = 1
"""The version of every JSON file and database row that holds these records."""

Outcome = Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
VerdictName = Literal[
    "pass", "regressed", "inconclusive", "unfit", "no_baseline", "does_not_fit", "failed"
]
Advice = Literal["recommended", "usable", "not recommended", "does not fit", "untested"]


@dataclass(frozen=True)
class Accelerator:
    """A GPU that the probe found."""

    kind: Literal["metal", "cuda"]
    name: str
    memory_bytes: int = 0
    cores: int = 0


@dataclass(frozen=True)
class MemoryLimit:
    """Bytes that processes may hold for a model, by one rule of the machine; ``name`` says which.

    ``changed``: a user has set it; the machine is another one then.
    """

    name: str
    bytes: int
    changed: bool = False


_GIB = 2**30
METAL_SHARES = ((36 * _GIB, 2 / 3), (float("inf"), 3 / 4))
"""Memory up to which -> share that Metal wires for its GPU where nobody has set another one.

Read in public reports (96 of 128 GB; about two thirds up to 36 GB), not confirmed on a Mac here:
what MLX or torch report, and ``iogpu.wired_limit_mb``, come before it.
"""


def metal_default(memory_bytes: float) -> MemoryLimit:
    """The limit of a Mac of that much memory on which nothing was changed or asked."""
    share = next(share for limit, share in METAL_SHARES if memory_bytes <= limit)
    return MemoryLimit("Metal's usual working set", int(share * memory_bytes))


@dataclass(frozen=True)
class Machine:
    """This host as probed; sizes in bytes, rates in bytes/s.

    ``tier`` is '' where the memory is not known. The least of the ``limits`` is what holds.
    """

    system: str
    os_version: str
    chip: str
    product: str
    architecture: str
    cpu_cores: int
    gpu_cores: int
    memory_bytes: int
    accelerators: tuple[Accelerator, ...] = ()
    bandwidth: float | None = None
    tier: str = ""
    identifier: str = ""
    limits: tuple[MemoryLimit, ...] = ()


@dataclass(frozen=True)
class Environment:
    """An interpreter with the versions of the libraries that matter ('' if not installed)."""

    name: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """One aspect of the machine's state; ``fit`` False makes a run ``unfit``."""

    name: str
    value: str
    fit: bool = True
    note: str = ""


@dataclass(frozen=True)
class Trial:
    """One timed repetition: a raw number with its unit."""

    deployment: str
    metric: str
    value: float
    unit: str
    repetition: int
    suite: str


@dataclass(frozen=True)
class Check:
    """The outcome of one test for one deployment; ``detail`` may quote a model: hostile text."""

    deployment: str
    suite: str
    test: str
    outcome: Outcome
    detail: str = ""
    known_bug: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer to one generated question, whose ``question`` is its identifier: hostile text."""

    deployment: str
    question: str
    skill: str
    prompt: str
    expected: str
    text: str
    is_correct: bool


@dataclass(frozen=True)
class Session:
    """One run on one machine under one environment.

    ``untried`` are the tests that were selected and not finished, by deployment.
    """

    identifier: str
    started: str
    machine: Machine
    environment: Environment
    conditions: tuple[Condition, ...] = ()
    selection: str = ""
    untried: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """One reason for a verdict: a measurement compared with a budget or a baseline."""

    metric: str
    status: Literal["pass", "fail", "warn", "unknown", "suspect"]
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """The judgement on one deployment after one session, with its reasons."""

    deployment: str
    name: VerdictName
    advice: Advice
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Results:
    """Everything that one session left: the store keeps it, the report shows it."""

    session: Session
    verdicts: tuple[Verdict, ...]
    trials: tuple[Trial, ...]
    checks: tuple[Check, ...]
    load_reports: dict[str, LoadReport]
    answers: tuple[Answer, ...] = ()
    """To the questions of each skill; none of a session of an older release."""
