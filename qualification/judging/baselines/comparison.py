"""Two sets of accepted sessions, metric by metric: their levels, the factor and its interval. Pure.

``a`` is the earlier or trusted side, ``b`` is held against it; a factor over 1 is worse. Like is
compared with like: the suites that every session has, and the machines that both sides have.
What cannot be compared is said, not left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qualification.core.metrics import METRICS
from qualification.judging.baselines.storage import AcceptedSession
from qualification.judging.stats.estimators import interval_between, level
from qualification.judging.verdicts import is_valid

_OF_ANSWERS = ("share", "count", "tokens")
"""Units of metrics that depend on the model's answers and not on the machine."""

_DIFFERENCES = ("share", "count", "B/request")
"""Units in which nought is a value, so that there is a difference and no factor."""


@dataclass(frozen=True)
class Side:
    """Sessions under a name to print."""

    name: str
    sessions: tuple[AcceptedSession, ...]

    @property
    def machines(self) -> frozenset[str]:
        """Identifiers of the machines that they ran on."""
        return frozenset(session.machine.identifier for session in self.sessions)


@dataclass(frozen=True)
class Compared:
    """One metric. ``a`` and ``b`` are a level for each session, in ``unit``.

    ``factor`` with ``lower`` and ``upper`` (one-sided 95 % each) is over 1 where ``b`` is worse;
    for metrics of which nought is a value it is None, and ``difference`` is mean b − mean a.
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


def compare(a: Side, b: Side, *, any_machine: bool = False) -> tuple[Compared, ...]:
    """Every metric that either side has, in the order of METRICS.

    Unless ``any_machine``, only sessions of machines that both sides have are compared: a factor
    between two machines is theirs as much as the libraries'. Metrics of the answers are compared in
    any case.
    """
    present = {trial.metric for side in (a, b) for one in side.sessions for trial in one.trials}
    return tuple(
        _compared(metric, a, b, any_machine or METRICS[metric][0] in _OF_ANSWERS)
        for metric in METRICS
        if metric in present
    )


_Suites = dict[str, list[float]]


def _compared(metric: str, a: Side, b: Side, any_machine: bool) -> Compared:
    unit, better = METRICS[metric]
    machines = a.machines & b.machines
    sides: list[list[_Suites]] = []
    for side in (a, b):
        seen = [(one, found) for one in side.sessions if (found := _values(one, metric))]
        if not seen:
            return Compared(metric, unit, problem=f"{side.name} has no measurement of it")
        sides.append(
            [found for one, found in seen if any_machine or one.machine.identifier in machines]
        )
    if not all(sides):
        return Compared(metric, unit, problem="it was measured on different machines")
    every = [set(found) for side in sides for found in side]
    suites = sorted(set.intersection(*every))
    if not suites:
        both = " and ".join(
            ", ".join(sorted({suite for found in side for suite in found})) for side in sides
        )
        return Compared(metric, unit, problem=f"it was measured by different suites: {both}")
    kept = [
        [[value for suite in suites for value in found[suite]] for found in side] for side in sides
    ]
    if unit in _DIFFERENCES:
        means_a, means_b = (tuple(math.fsum(each) / len(each) for each in side) for side in kept)
        difference = math.fsum(means_b) / len(means_b) - math.fsum(means_a) / len(means_a)
        return Compared(metric, unit, tuple(suites), means_a, means_b, difference=difference)
    interval = interval_between(kept[0], kept[1], better)
    return Compared(
        metric,
        unit,
        tuple(suites),
        tuple(level(each) for each in kept[0]),
        tuple(level(each) for each in kept[1]),
        math.exp(interval.difference),
        math.exp(interval.lower),
        math.exp(interval.upper),
    )


def _values(session: AcceptedSession, metric: str) -> _Suites:
    found: _Suites = {}
    for trial in session.trials:
        if trial.metric == metric and is_valid(trial):
            found.setdefault(trial.suite, []).append(float(trial.value))
    return found


def unlike(a: Side, b: Side) -> tuple[str, ...]:
    """Sentences on what differs besides the figures: deployments, machines that are left out."""
    said = []
    names = [
        sorted({trial.deployment for one in side.sessions for trial in one.trials})
        for side in (a, b)
    ]
    if names[0] != names[1]:
        said.append(f"These are two deployments: {', '.join(names[0])} and {', '.join(names[1])}.")
    if not a.machines & b.machines:
        said.append(
            "No machine is in both, so only what depends on the answers is compared; "
            "--any-machine compares the rest, and the factor is then the machines' too."
        )
    for side, other in ((a, b), (b, a)):
        count = sum(one.machine.identifier not in other.machines for one in side.sessions)
        if a.machines & b.machines and count:
            said.append(
                f"{count} of the {len(side.sessions)} sessions of {side.name} "
                f"{'are' if count > 1 else 'is'} of machines that {other.name} does not have."
            )
    return tuple(said)


def versions(side: Side) -> dict[str, tuple[str, ...]]:
    """Library -> its versions among the sessions, in their order; without those of none."""
    found: dict[str, dict[str, None]] = {}
    for session in side.sessions:
        found.setdefault("Python", {})[session.environment.python] = None
        for name, version in session.environment.versions.items():
            if version:
                found.setdefault(name, {})[version] = None
    return {name: tuple(each) for name, each in found.items()}


def differing(a: Side, b: Side) -> tuple[str, ...]:
    """``mlx-vlm 0.3.9 against 0.7.10`` for each library whose versions are not the same."""
    one, other = versions(a), versions(b)
    return tuple(
        f"{name} {' or '.join(one.get(name, ('none',)))} against "
        f"{' or '.join(other.get(name, ('none',)))}"
        for name in dict.fromkeys([*one, *other])
        if set(one.get(name, ())) != set(other.get(name, ()))
    )
