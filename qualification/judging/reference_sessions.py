"""Which stored sessions a session is compared with, and their name in a finding. Pure.

A baseline holds sessions of several machines of one tier. Those of the session's own machine are
used alone where they are enough to decide: no part of a difference is then another machine's.
Otherwise all of the tier's are used and the unit is the machine, at the mean level of its sessions,
because the sessions of one machine share that machine: five sessions of one neighbour say no more
about a third machine than one does. The choice depends on numbers of sessions alone and is made
before any figure is looked at.

A session that measured other weights is never compared: a difference would be theirs. Weights whose
revision is not known, then or now, may be the same ones.

Source: docs/baselines.md ("Which sessions are compared").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.core.format import revision_text
from qualification.core.results import Environment
from qualification.judging.stats.estimators import level

Suites = dict[str, list[float]]
"""Suite -> valid numbers of one metric, in the order they were measured."""


@dataclass(frozen=True)
class StoredMetric:
    """One metric of one stored session, with the identifier of the session's machine."""

    machine: str
    environment: Environment
    suites: Suites
    revision: str = ""


@dataclass(frozen=True)
class Reference:
    """One stored session's numbers of the suites that are compared."""

    machine: str
    environment: Environment
    values: tuple[float, ...]
    revision: str = ""


def may_be_same_weights(a: str, b: str) -> bool:
    """Whether two revisions are equal, or one of them is not known ('')."""
    return not a or not b or a == b


def other_weights(stored: Sequence[str], now: str) -> str:
    """The sentence on a baseline whose sessions, by their revisions, all have other weights."""
    earlier = " or ".join(map(revision_text, dict.fromkeys(stored)))
    return (
        f"Other weights were measured (revision {revision_text(now)}) than in the baseline "
        f"({earlier}), so nothing is compared with it."
    )


def comparable(
    current: Suites, stored: Sequence[StoredMetric], machine: str, enough: int
) -> tuple[list[float], list[Reference]]:
    """This session's numbers, and the stored sessions to compare them with.

    Only suites that this session and all chosen ones have count, so that like is compared with
    like; a stored session without any of this one's suites is left out. Sessions of ``machine``
    alone are chosen where there are ``enough`` (0: never).
    """
    stored = [session for session in stored if set(session.suites) & set(current)]
    same_machine = [session for session in stored if session.machine == machine]
    chosen = same_machine if enough and len(same_machine) >= enough else stored
    suites = sorted(set(current).intersection(*(set(session.suites) for session in chosen)))
    if not suites or not chosen:
        return [], []
    return [value for suite in suites for value in current[suite]], [
        Reference(
            session.machine,
            session.environment,
            tuple(value for suite in suites for value in session.suites[suite]),
            session.revision,
        )
        for session in chosen
    ]


def interval_units(
    references: Sequence[Reference], machine: str
) -> tuple[Literal["session", "machine"], tuple[tuple[float, ...], ...]]:
    """The units that an interval is computed over: each session's numbers, or a level per machine.

    The unit is the session where all are of ``machine``. ValueError for a number that is not
    positive.
    """
    machines = list(dict.fromkeys(session.machine for session in references))
    if machines == [machine]:
        return "session", tuple(session.values for session in references)
    logs = [
        [math.log(level(session.values)) for session in references if session.machine == name]
        for name in machines
    ]
    return "machine", tuple((math.exp(math.fsum(values) / len(values)),) for values in logs)


def unknown_revisions(references: Sequence[Reference], now: str) -> str:
    """A clause in brackets where it is not certain that all measured the same weights, else ''."""
    count = sum(not session.revision for session in references)
    if now and not count:
        return ""
    where = f" in {count} of them" if now and count < len(references) else ""
    return f" (the revision of the weights is not known{where})"


def describe(references: Sequence[Reference], machine: str) -> str:
    """``3 earlier sessions of this machine``, ``2 earlier sessions of another machine``."""
    machines = {session.machine for session in references}
    noun = f"{len(references)} earlier session{'s' if len(references) > 1 else ''}"
    if machines == {machine}:
        return f"{noun} of this machine"
    if machine in machines:
        return f"{noun} of {len(machines)} machines of the tier, this one among them"
    if len(machines) > 1:
        return f"{noun} of {len(machines)} other machines of the tier"
    return f"{noun} of another machine of the tier"
