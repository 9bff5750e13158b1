"""The gate's frozen types: the plan, the observations, and the findings derived from them.

Every observation goes to the journal at once; results are always derived from observations, so a
gate that was killed and resumed decides as one that was not. Seconds, bytes, tokens per second.
``a`` is the baseline (the environment in use), ``b`` the candidate (the one to move to).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from qualification.core.declarations import Deployment
from qualification.core.protocol import WeightsSource
from qualification.core.results import Condition, Machine
from qualification.judging.stats.sequential import Decision, Effect

GATE_SCHEMA_VERSION = 2
"""The version of journals and of gate.json."""

Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")
SIDE_NAMES: dict[Side, str] = {"a": "baseline", "b": "candidate"}
GateVerdict = Literal["pass", "regressed", "inconclusive", "unfit"]
WarningsPolicy = Literal["note", "fail"]
EXIT_CODES: dict[GateVerdict, int] = {"pass": 0, "regressed": 1, "inconclusive": 3, "unfit": 3}
"""2 is a usage or internal error, as everywhere in ``qualify``."""

CHECKS: dict[str, str] = {
    "load": "loads",
    "answers": "answers held-out questions as before",
    "margins": "computes what the canary's reference computes",
    "latency": "takes no more than twice the time of before",
    "state": "is in the same state after a request",
    "vision": "sees what an image shows",
    "text_only": "answers without an image",
    "multi_image": "tells two images apart",
    "video": "sees what moves",
    "multi_turn": "remembers the image of an earlier turn",
    "given_as": "takes an image as path, bytes and data URL",
    "prefill_in_chunks": "answers a prompt that is computed in chunks alike",
    "long_prompt": "answers a long prompt, or refuses it for its length",
    "natural_stop": "ends its answers by itself",
    "prompt_tokens": "makes as many tokens of a prompt and its images as before",
    "growth": "keeps no memory of a request",
    "warnings": "warns of nothing new",
}
"""The behaviour checks, in the order in which they are made."""


def check_rank(check: str) -> int:
    """The place of a check, such as ``given_as[bytes]``, among the checks."""
    stem = check.partition("[")[0]
    return list(CHECKS).index(stem) if stem in CHECKS else len(CHECKS)


@dataclass(frozen=True)
class EnvironmentRecord:
    """The content of one environment. ``key`` identifies everything installed in it.

    ``moved`` are the pins of its base that a candidate's own pins moved, in words.
    """

    name: str
    python: str
    key: str = ""
    pins: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    moved: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeploymentRef:
    """A deployment of a plan: its identifier, and the kind of its weights."""

    identifier: str
    weights: WeightsSource

    @classmethod
    def of(cls, deployment: Deployment) -> DeploymentRef:
        """The reference to a declared deployment."""
        return cls(deployment.identifier, deployment.source.weights)

    @property
    def declared_as(self) -> str:
        """The identifier of the real deployment, also if this one has synthetic weights."""
        if self.weights == "synthetic":
            return self.identifier.replace("-synthetic@", "@")
        return self.identifier

    @property
    def is_canary(self) -> bool:
        """Whether its figures are about the libraries alone."""
        return self.weights == "canary"


@dataclass(frozen=True)
class GatePlan:
    """The plan of a gate: the first line of its journal, the same when the gate is resumed.

    The behaviour of all ``deployments`` is compared, and the ``metrics`` of those of them whose
    identifiers are in ``timed``. ``budget_s`` bounds the timing (0: no bound).
    """

    identifier: str
    started: str
    a: EnvironmentRecord
    b: EnvironmentRecord
    machine: Machine
    deployments: tuple[DeploymentRef, ...]
    timed: tuple[str, ...]
    metrics: tuple[str, ...]
    seed: int
    weights: WeightsSource
    warnings: WarningsPolicy = "note"
    budget_s: float = 0.0
    conditions: tuple[Condition, ...] = ()

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The identifiers of all deployments."""
        return tuple(deployment.identifier for deployment in self.deployments)


@dataclass(frozen=True)
class Answer:
    """One held-out question and its answer. ``text`` is hostile.

    ``margin`` is the logit margin of the first token (the largest logit minus the second largest),
    ``references`` are the margins of the canary's references at this question; 0 is unknown.
    ``e2e_s`` is the time of the whole request on a machine that may have had other work.
    """

    question: str
    skill: str
    expected: str
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    correct: bool
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
    """Memory leak slope: bytes kept per request (Theil-Sen), with two-sided 95 % bounds."""

    value: float
    lower: float
    upper: float
    requests: int


@dataclass(frozen=True)
class Behaviour:
    """A deployment in one fresh process of one side. ``attempt`` 0, then 1 to confirm.

    ``revision`` is that of its weights, '' where it is not known.
    """

    deployment: str
    side: Side
    attempt: int
    probes: tuple[Probe, ...]
    answers: tuple[Answer, ...] = ()
    warnings: tuple[str, ...] = ()
    growth: Growth | None = None
    wall_s: float = 0.0
    revision: str = ""


@dataclass(frozen=True)
class ProcessSample:
    """The metrics of one fresh process, or the failure that it ended with.

    ``revision`` is that of its weights, '' where it is not known.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    raw: dict[str, tuple[float, ...]] = field(default_factory=dict)
    failure: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Pair:
    """Baseline and candidate back to back, ``leader`` before the other; ``number`` is from 0."""

    deployment: str
    number: int
    leader: Side
    a: ProcessSample
    b: ProcessSample


def known_revisions(
    deployment: str, observations: Iterable[Behaviour], pairs: Iterable[Pair]
) -> tuple[str, ...]:
    """The revisions of a deployment's weights, in the order in which they were measured."""
    processes: list[Behaviour | ProcessSample] = [
        *(behaviour for behaviour in observations if behaviour.deployment == deployment),
        *(side for pair in pairs if pair.deployment == deployment for side in (pair.a, pair.b)),
    ]
    return tuple(dict.fromkeys(process.revision for process in processes if process.revision))


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
    """The verdict on one metric of one deployment, with its effect and the test's own account.

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

    def revisions(self, deployment: str) -> tuple[str, ...]:
        """The known revisions of the weights that were measured; more than one is no comparison."""
        return known_revisions(deployment, self.observations, self.pairs)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regressed, 3 inconclusive or unfit."""
        return EXIT_CODES[self.verdict]
