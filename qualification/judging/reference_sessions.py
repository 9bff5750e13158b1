"""Which stored sessions one is held against, and what they are called in a finding. Pure.

A baseline holds sessions of several machines of one tier. Those of the session's own machine are
taken alone where they are enough to decide: nothing of the difference is then another machine's.
Otherwise all of the tier's are taken and the unit is the machine, at the mean level of its
sessions, because the sessions of one machine share that machine: five of one neighbour say no more
about a third machine than one does. The choice is made by numbers of sessions alone, before any
figure is looked at. docs/baselines.md has the reasons and the figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.results import Environment
from qualification.judging.stats.estimators import level

Suites = dict[str, list[float]]
"""Suite -> valid numbers of one metric, in the order they were measured."""


@dataclass(frozen=True)
class Seen:
    """What one stored session, on the machine of that identifier, saw of one metric."""

    machine: str
    environment: Environment
    suites: Suites


@dataclass(frozen=True)
class Measured:
    """One stored session's numbers of the suites that are compared."""

    machine: str
    environment: Environment
    values: tuple[float, ...]


def shared(
    current: Suites, stored: Sequence[Seen], machine: str, enough: int
) -> tuple[list[float], list[Measured]]:
    """This session's numbers and those of the stored ones to hold it against.

    Of the suites that every side has, so that like is compared with like; a session that has none
    of them is left out. Those of ``machine`` alone are taken where there are ``enough`` (0: never).
    """
    stored = [one for one in stored if set(one.suites) & set(current)]
    own = [one for one in stored if one.machine == machine]
    chosen = own if enough and len(own) >= enough else stored
    suites = sorted(set(current).intersection(*(set(one.suites) for one in chosen)))
    if not suites or not chosen:
        return [], []
    return [value for suite in suites for value in current[suite]], [
        Measured(
            one.machine,
            one.environment,
            tuple(value for suite in suites for value in one.suites[suite]),
        )
        for one in chosen
    ]


def levels(
    sessions: Sequence[Measured], machine: str
) -> tuple[Literal["session", "machine"], tuple[tuple[float, ...], ...]]:
    """What an interval is made of: each session's numbers, or one level for each machine.

    The unit is the session where all are of ``machine``. ValueError for a number that is not
    positive.
    """
    names = list(dict.fromkeys(one.machine for one in sessions))
    if names == [machine]:
        return "session", tuple(one.values for one in sessions)
    logs = {
        name: [math.log(level(one.values)) for one in sessions if one.machine == name]
        for name in names
    }
    return "machine", tuple((math.exp(math.fsum(each) / len(each)),) for each in logs.values())


def describe(sessions: Sequence[Measured], machine: str) -> str:
    """``3 earlier sessions of this machine``, ``2 earlier sessions of another machine``."""
    machines = {one.machine for one in sessions}
    noun = f"{len(sessions)} earlier session{'s' if len(sessions) > 1 else ''}"
    if machines == {machine}:
        return f"{noun} of this machine"
    if machine in machines:
        return f"{noun} of {len(machines)} machines of the tier, this one among them"
    if len(machines) > 1:
        return f"{noun} of {len(machines)} other machines of the tier"
    return f"{noun} of another machine of the tier"
