"""How a canary does under each release, and the stretches of releases in which it does not. Pure.

The measure is the canary itself under the release where it does best: as many correct answers by
the gate's paired test, and first-token margins as near to the reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from qualification.judging.stats.paired_items import judge_items
from qualification.upgrade.gate.compare import MANY_SHIFTED, shifted_from_reference
from qualification.upgrade.gate.records import Behaviour
from qualification.upgrade.release_map.records import Neighbours, Release, ReleaseMap

State = Literal["good", "wrong", "shifted", "no answer", "does not load", "before"]
"""``shifted``: as many correct, but computed otherwise. ``before``: does not load, and did under no
earlier release: the model's files, or what loads them here, are newer than the release."""

TRAINED = 0.9
"""A canary is trained until it answers more than this share of held-out questions correctly."""


@dataclass(frozen=True)
class Stretch:
    """Neighbouring releases with one fault, ``since`` to ``through``; ``until`` the next good one.

    ``until`` is '' where no release after it is good. ``sentence`` is the evidence.
    """

    deployment: str
    state: State
    since: str
    through: str
    until: str
    sentence: str


def correct(behaviour: Behaviour) -> int:
    """How many questions it answered correctly."""
    return sum(answer.correct for answer in behaviour.answers)


def states(
    release_map: ReleaseMap, deployment: str, neighbours: Neighbours = "today"
) -> list[tuple[Release, Behaviour, State]]:
    """Each release under which a deployment was asked, from old to new.

    Where it never answered as it was trained to, no release is good.
    """
    observations = [(r, attempts[0]) for r, attempts in release_map.asked(deployment, neighbours)]
    if not observations:
        return []
    best = max((behaviour for _, behaviour in observations), key=_rank)
    is_trained = best.answers and correct(best) >= TRAINED * len(best.answers)
    judged = [
        (release, behaviour, _state(behaviour, best if is_trained else None))
        for release, behaviour in observations
    ]
    is_early = True
    result: list[tuple[Release, Behaviour, State]] = []
    for release, behaviour, state in judged:
        is_early = is_early and state == "does not load"
        result.append((release, behaviour, "before" if is_early else state))
    if is_early:  # it loads under none of them, so nothing tells what it is too new for
        return judged
    return result


def pin(release_map: ReleaseMap, deployment: str) -> str:
    """The newest release, with today's packages, under which it is good; '' where there is none.

    A yanked release is none to pin.
    """
    good = [
        release.version
        for release, _, state in states(release_map, deployment)
        if state == "good" and not release.is_yanked
    ]
    return good[-1] if good else ""


def stretches(release_map: ReleaseMap, deployment: str) -> Iterator[Stretch]:
    """The faults of a canary with today's packages; none where it was good under no release.

    Shifted margins are one only after a good release: old ones may round or resize otherwise.
    """
    judged = states(release_map, deployment)
    if not any(state == "good" for _, _, state in judged):
        return
    groups = [
        (state, list(group))
        for state, group in itertools.groupby(judged, key=lambda entry: entry[2])
    ]
    for number, (state, group) in enumerate(groups):
        is_new = number > 0 and groups[number - 1][0] == "good"
        if state == "good" or (state == "shifted" and not is_new):
            continue
        fine: tuple[State, ...] = ("good",) if state == "shifted" else ("good", "shifted")
        if state == "before":  # what loads may be wrong, which is a stretch of its own
            fine = ("good", "shifted", "wrong", "no answer")
        later = (entries[0][0].version for name, entries in groups[number:] if name in fine)
        since, through = group[0][0].version, group[-1][0].version
        yield Stretch(
            deployment,
            state,
            since,
            through,
            next(later, ""),
            _evidence(state, [behaviour for _, behaviour, _ in group]),
        )


def loads(behaviour: Behaviour) -> bool:
    """Whether its weights were loaded."""
    return any(probe.check == "load" and probe.outcome == "ok" for probe in behaviour.probes)


def failure(behaviour: Behaviour) -> str:
    """The first line of what went wrong; '' where nothing did."""
    details = (probe.detail for probe in behaviour.probes if probe.outcome == "error")
    return next((detail.strip().partition("\n")[0] for detail in details if detail), "")


def _evidence(state: State, behaviours: Sequence[Behaviour]) -> str:
    counts = [correct(behaviour) for behaviour in behaviours]
    of = max(len(behaviour.answers) for behaviour in behaviours)
    span = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    if state in ("wrong", "shifted"):
        shares = [shifted(behaviour) for behaviour in behaviours]
        more = f", {max(shares):.0%} of the first-token margins shifted" if max(shares) else ""
        return f"{span} of {of} correct{more}"
    return failure(behaviours[0]) or "it loads and answers nothing"


def _state(behaviour: Behaviour, best: Behaviour | None) -> State:
    if not loads(behaviour):
        return "does not load"
    if not behaviour.answers:
        return "no answer"
    is_trained = correct(behaviour) >= TRAINED * len(behaviour.answers)
    if best is None or not is_trained or not _is_as_good(best, behaviour):
        return "wrong"
    if shifted(behaviour) > MANY_SHIFTED >= shifted(best):
        return "shifted"
    return "good"


def _rank(behaviour: Behaviour) -> tuple[int, float]:
    return correct(behaviour), -shifted(behaviour)


def shifted(behaviour: Behaviour) -> float:
    """The share of its first-token margins that are not those of the reference."""
    measured = [answer for answer in behaviour.answers if answer.references and answer.margin]
    return shifted_from_reference(measured) if measured else 0.0


def _is_as_good(best: Behaviour, behaviour: Behaviour) -> bool:
    expected = {answer.question: answer.correct for answer in best.answers}
    pairs = [(expected[a.question], a.correct) for a in behaviour.answers if a.question in expected]
    if not pairs:
        return False
    before, after = zip(*pairs, strict=True)
    return before == after or judge_items(before, after).name != "regressed"
