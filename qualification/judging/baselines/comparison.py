"""Two groups of accepted sessions, metric by metric: levels, factor and its interval. Pure.

``a`` is the earlier or trusted group, ``b`` is compared with it; a factor over 1 is worse. Like is
compared with like: the suites that every session has, and the machines that both groups have.
A metric that cannot be compared is listed with the reason.

Source: docs/baselines.md ("Compare").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.metrics import METRICS
from qualification.judging.baselines.storage import AcceptedSession
from qualification.judging.reference_sessions import may_be_same_weights
from qualification.judging.stats.estimators import interval_between, level
from qualification.judging.verdicts import is_valid

_ANSWER_UNITS = ("share", "count", "tokens")
"""Units of metrics that depend on the model's answers and not on the machine."""

_DIFFERENCE_UNITS = ("share", "count", "B/request")
"""Units in which zero is a value, so that there is a difference and no factor."""


@dataclass(frozen=True)
class Operand:
    """Sessions to compare, under a name to print."""

    name: str
    sessions: tuple[AcceptedSession, ...]

    @property
    def machines(self) -> frozenset[str]:
        """Identifiers of the machines that they ran on."""
        return frozenset(session.machine.identifier for session in self.sessions)

    @property
    def revisions(self) -> tuple[str, ...]:
        """Those of the weights that they measured, once each; '' where one is not known."""
        return tuple(dict.fromkeys(session.revision for session in self.sessions))


@dataclass(frozen=True)
class MetricComparison:
    """One metric. ``a`` and ``b`` are a level for each session, in ``unit``.

    ``factor`` with ``lower`` and ``upper`` (one-sided 95 % each) is over 1 where ``b`` is worse;
    for metrics of which zero is a value it is None, and ``difference`` is mean b − mean a.
    ``problem``: why it is not comparable; then there are no levels.
    """

    metric: str
    unit: str
    suites: tuple[str, ...] = ()
    a: tuple[float, ...] = ()
    b: tuple[float, ...] = ()
    factor: float | None = None
    lower: float | None = None
    upper: float | None = None
    difference: float | None = None
    problem: str = ""


def compare(a: Operand, b: Operand, *, any_machine: bool = False) -> tuple[MetricComparison, ...]:
    """Every metric that either operand has, in the order of METRICS.

    Unless ``any_machine``, only sessions of machines that both have are compared: a factor between
    two machines is theirs as much as the libraries'. Metrics of the answers are compared in any
    case.
    """
    present = {
        trial.metric
        for operand in (a, b)
        for session in operand.sessions
        for trial in session.trials
    }
    return tuple(
        _compared(metric, a, b, any_machine or METRICS[metric].unit in _ANSWER_UNITS)
        for metric in METRICS
        if metric in present
    )


_Suites = dict[str, list[float]]
"""Suite -> valid numbers of one session."""


def _compared(metric: str, a: Operand, b: Operand, any_machine: bool) -> MetricComparison:
    unit = METRICS[metric].unit
    groups = _measured(metric, a, b, any_machine)
    if isinstance(groups, str):
        return MetricComparison(metric, unit, problem=groups)
    suites = sorted(set.intersection(*(set(session) for group in groups for session in group)))
    if not suites:
        names = " and ".join(
            ", ".join(sorted({suite for session in group for suite in session})) for group in groups
        )
        problem = f"it was measured by different suites: {names}"
        return MetricComparison(metric, unit, problem=problem)
    a_values, b_values = (
        [[value for suite in suites for value in session[suite]] for session in group]
        for group in groups
    )
    if unit in _DIFFERENCE_UNITS:
        return _as_difference(metric, tuple(suites), a_values, b_values)
    return _as_factor(metric, tuple(suites), a_values, b_values)


def _measured(
    metric: str, a: Operand, b: Operand, any_machine: bool
) -> tuple[list[_Suites], list[_Suites]] | str:
    """The comparable sessions of each operand that measured a metric, or why there are none."""
    machines = a.machines & b.machines
    groups = []
    for operand in (a, b):
        measured = [
            (session.machine.identifier, suites)
            for session in operand.sessions
            if (suites := _values(session, metric))
        ]
        if not measured:
            return f"{operand.name} has no measurement of it"
        groups.append(
            [suites for machine, suites in measured if any_machine or machine in machines]
        )
    if not all(groups):
        return "it was measured on different machines"
    return groups[0], groups[1]


def _values(session: AcceptedSession, metric: str) -> _Suites:
    suites: _Suites = {}
    for trial in session.trials:
        if trial.metric == metric and is_valid(trial):
            suites.setdefault(trial.suite, []).append(float(trial.value))
    return suites


def _as_difference(
    metric: str, suites: tuple[str, ...], a: list[list[float]], b: list[list[float]]
) -> MetricComparison:
    a_means, b_means = (tuple(_mean(session) for session in group) for group in (a, b))
    difference = _mean(b_means) - _mean(a_means)
    unit = METRICS[metric].unit
    return MetricComparison(metric, unit, suites, a_means, b_means, difference=difference)


def _as_factor(
    metric: str, suites: tuple[str, ...], a: list[list[float]], b: list[list[float]]
) -> MetricComparison:
    interval = interval_between(a, b, METRICS[metric].better)
    return MetricComparison(
        metric,
        METRICS[metric].unit,
        suites,
        tuple(level(session) for session in a),
        tuple(level(session) for session in b),
        math.exp(interval.difference),
        math.exp(interval.lower),
        math.exp(interval.upper),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def unlike(a: Operand, b: Operand) -> tuple[str, ...]:
    """Sentences on what differs besides the figures: weights, machines that are left out."""
    sentences = []
    names = [
        sorted({trial.deployment for session in operand.sessions for trial in session.trials})
        for operand in (a, b)
    ]
    if names[0] != names[1]:
        both = f"{', '.join(names[0])} and {', '.join(names[1])}"
        sentences.append(f"These are two deployments: {both}.")
    elif not all(may_be_same_weights(x, y) for x in a.revisions for y in b.revisions):
        sentences.append("Other weights were measured, so a difference is theirs too.")
    if not a.machines & b.machines:
        sentences.append(
            "No machine is in both, so only what depends on the answers is compared; "
            "--any-machine compares the rest, and the factor is then the machines' too."
        )
    for operand, counterpart in ((a, b), (b, a)):
        count = sum(
            session.machine.identifier not in counterpart.machines for session in operand.sessions
        )
        if a.machines & b.machines and count:
            sentences.append(
                f"{count} of the {len(operand.sessions)} sessions of {operand.name} "
                f"{'are' if count > 1 else 'is'} of machines that {counterpart.name} does not have."
            )
    return tuple(sentences)


def versions(operand: Operand) -> dict[str, tuple[str, ...]]:
    """Library -> its versions among the sessions, in their order; without those of none."""
    recorded: dict[str, dict[str, None]] = {}
    for session in operand.sessions:
        recorded.setdefault("Python", {})[session.environment.python] = None
        for name, version in session.environment.versions.items():
            if version:
                recorded.setdefault(name, {})[version] = None
    return {name: tuple(texts) for name, texts in recorded.items()}


def differing(a: Operand, b: Operand) -> tuple[str, ...]:
    """``mlx-vlm 0.3.9 against 0.7.10`` for each library whose versions are not the same."""
    a_versions, b_versions = versions(a), versions(b)
    return tuple(
        f"{name} {' or '.join(a_versions.get(name, ('none',)))} against "
        f"{' or '.join(b_versions.get(name, ('none',)))}"
        for name in dict.fromkeys([*a_versions, *b_versions])
        if set(a_versions.get(name, ())) != set(b_versions.get(name, ()))
    )
