"""The gate's frozen types: what was planned, what was observed, what follows from it.

Observations are kept in the journal as they come; results are always derived from them, so a gate
that was killed and resumed decides as one that was not. Seconds, bytes, tokens per second.
``a`` is the environment in use, ``b`` the one to move to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from qualification.core.results import Condition, Machine
from qualification.judging.stats.sequential import Decision, Effect

GATE_SCHEMA_VERSION = 1
"""Of journals and of gate.json."""

Side = Literal["a", "b"]
GateVerdict = Literal["pass", "regressed", "inconclusive", "unfit"]
WarningsPolicy = Literal["note", "fail"]
EXIT_CODES: dict[GateVerdict, int] = {"pass": 0, "regressed": 1, "inconclusive": 3, "unfit": 3}
"""2 is a usage or internal error, as everywhere in ``qualify``."""

CHECKS: dict[str, str] = {
    "load": "loads",
    "answers": "answers held-out questions as before",
    "margins": "computes what the canary's reference computes",
    "pace": "takes no more than twice the time of before",
    "state": "a request leaves nothing behind",
    "vision": "sees what a picture shows",
    "text_only": "answers without a picture",
    "multi_image": "tells two pictures apart",
    "video": "sees what moves",
    "multi_turn": "remembers the picture of an earlier turn",
    "given_as": "takes a picture as path, bytes and data URL",
    "prefill_in_chunks": "a prompt computed in pieces is answered alike",
    "long_prompt": "a long prompt is answered or refused for its length",
    "natural_stop": "ends its answers by itself",
    "prompt_tokens": "makes as many tokens of a prompt and its pictures as before",
    "growth": "keeps nothing of a request",
    "warnings": "warns of nothing new",
}
"""The behaviour checks, in the order in which they are made."""


@dataclass(frozen=True)
class EnvironmentRecord:
    """The receipt of one side. ``key``: of all that is installed there."""

    name: str
    python: str
    key: str = ""
    pins: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GatePlan:
    """What a gate is to do. The first line of its journal; a resumed gate must have the same.

    ``timed`` are the deployments whose ``metrics`` are compared; every one of ``deployments`` is
    asked for its behaviour. ``budget_s`` bounds the timing (infinite: 0).
    """

    identifier: str
    started: str
    a: EnvironmentRecord
    b: EnvironmentRecord
    machine: Machine
    deployments: tuple[str, ...]
    timed: tuple[str, ...]
    metrics: tuple[str, ...]
    seed: int
    weights: str
    warnings: WarningsPolicy = "note"
    budget_s: float = 0.0
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Asked:
    """One held-out question and what came. ``text`` is hostile.

    ``margin`` is the largest logit less the second largest of the first token, ``references`` what
    each of the canary's references has there; 0 where it is not known. ``e2e_s`` is the time of
    the whole request on a machine that may have had other work.
    """

    question: str
    skill: str
    expected: str
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    right: bool
    margin: float = 0.0
    references: tuple[float, ...] = ()
    e2e_s: float = 0.0


@dataclass(frozen=True)
class Probe:
    """One behaviour check of one process: ``ok``, ``wrong`` with a ``detail``, or ``error``.

    ``error`` is a worker's failure by kind; ``detail`` may quote a model or a library: hostile.
    """

    check: str
    outcome: Literal["ok", "wrong", "error"]
    detail: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Growth:
    """Bytes kept per request (Theil-Sen), between two-sided 95 % bounds."""

    value: float
    lower: float
    upper: float
    requests: int


@dataclass(frozen=True)
class Behaviour:
    """What one side's deployment did in one fresh process. ``attempt`` 0, then 1 to confirm."""

    deployment: str
    side: Side
    attempt: int
    probes: tuple[Probe, ...]
    asked: tuple[Asked, ...] = ()
    warnings: tuple[str, ...] = ()
    growth: Growth | None = None
    wall_s: float = 0.0


@dataclass(frozen=True)
class Sample:
    """The metrics of one fresh process, or the failure that it ended with."""

    metrics: dict[str, float] = field(default_factory=dict)
    raw: dict[str, tuple[float, ...]] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True)
class Pair:
    """A and B back to back. ``first`` is the coin's choice; ``number`` counts from 0."""

    deployment: str
    number: int
    first: Side
    a: Sample
    b: Sample


# --------------------------------------------------------------------------- derived


@dataclass(frozen=True)
class BehaviourFinding:
    """The verdict on one check of one deployment, in one sentence. ``improved`` is a note."""

    deployment: str
    check: str
    verdict: GateVerdict
    sentence: str
    note: Literal["", "improved", "both fail", "changed", "new warning"] = ""


@dataclass(frozen=True)
class MetricFinding:
    """The verdict on one metric of one deployment, with its effect and the rule's own account.

    ``effect`` is None where there were too few pairs for one; factors over 1 are worse.
    """

    deployment: str
    metric: str
    verdict: GateVerdict
    sentence: str
    decision: Decision
    effect: Effect | None
    a: tuple[float, ...] = ()
    b: tuple[float, ...] = ()
    note: Literal["", "improved", "budget", "failure"] = ""


@dataclass(frozen=True)
class GateResult:
    """Everything that a gate has to say. ``finished`` False: it was interrupted or is running."""

    plan: GatePlan
    verdict: GateVerdict
    behaviour: tuple[BehaviourFinding, ...]
    metrics: tuple[MetricFinding, ...]
    pairs: tuple[Pair, ...]
    observations: tuple[Behaviour, ...]
    sentence: str
    finished: bool = True
    wall_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regressed, 3 inconclusive or unfit."""
        return EXIT_CODES[self.verdict]
