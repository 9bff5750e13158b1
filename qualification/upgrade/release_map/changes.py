"""What changed between two neighbours of the map, by the gate's rule in both directions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from qualification.upgrade.gate.compare import behaviour_findings, to_confirm
from qualification.upgrade.gate.records import Behaviour, BehaviourFinding, DeploymentRef
from qualification.upgrade.release_map.records import SETS, Change, Kind, Neighbours, ReleaseMap
from qualification.upgrade.release_map.states import correct, shifted

_NOT_COMPARED = frozenset({"latency", "warnings", "prompt_tokens"})
"""Nothing is timed; warnings and the number of tokens are told, and are no fault."""


def differ(earlier: Behaviour, later: Behaviour) -> bool:
    """Whether two first attempts differ so that both are asked other questions to be sure."""
    reference = DeploymentRef(earlier.deployment, "canary")
    checks = to_confirm(reference, replace(earlier, side="a"), replace(later, side="b"))
    checks |= to_confirm(reference, replace(later, side="a"), replace(earlier, side="b"))
    return bool(checks - _NOT_COMPARED)


def changes(release_map: ReleaseMap) -> tuple[Change, ...]:
    """Of every deployment, from the oldest release to the newest, in both sets of neighbours.

    A change that both sets show alike is told once, of the release's own day.
    """
    by_place: dict[tuple[str, str, str, str], Change] = {}
    for deployment in release_map.deployments:
        for neighbours in SETS:
            for change in _of_deployment(release_map, deployment, neighbours):
                key = (deployment, change.earlier, change.later, change.kind)
                by_place.setdefault(key, change)
    return tuple(by_place.values())


def _of_deployment(
    release_map: ReleaseMap, deployment: str, neighbours: Neighbours
) -> Iterator[Change]:
    for (earlier, before), (later, after) in pairwise(release_map.asked(deployment, neighbours)):
        if change := between((earlier.version, before), (later.version, after)):
            kind, sentence = change
            yield Change(deployment, neighbours, earlier.version, later.version, kind, sentence)


Asked = tuple[str, Sequence[Behaviour]]
"""A release, and a deployment's attempts under it."""


def between(before: Asked, after: Asked) -> tuple[Kind, str] | None:
    """The kind of a change between two releases, and its evidence; None where nothing changed."""
    worse, better = _findings(before, after), _findings(after, before)
    unsure = [f for f in (*worse, *better) if f.verdict == "inconclusive" and not f.note]
    kinds: tuple[tuple[Kind, list[BehaviourFinding]], ...] = (
        ("first bad", [finding for finding in worse if finding.verdict == "regressed"]),
        ("fixed in", [finding for finding in better if finding.verdict == "regressed"]),
        ("cannot tell", unsure),
    )
    for kind, findings in kinds:
        if findings:
            figures = dict.fromkeys(_figures(finding, before[1], after[1]) for finding in findings)
            return kind, "; ".join(figures)
    texts = [{a.question: a.text for a in attempts[0].answers} for _, attempts in (before, after)]
    if texts[0] and texts[1] and texts[0] != texts[1]:
        changed = sum(texts[0][name] != texts[1].get(name) for name in texts[0])
        right = [correct(attempts[0]) for _, attempts in (before, after)]
        return (
            "changed",
            f"{changed} of {len(texts[0])} answers; {right[0]} correct, then {right[1]}",
        )
    return None


def _figures(
    finding: BehaviourFinding, before: Sequence[Behaviour], after: Sequence[Behaviour]
) -> str:
    """What a finding rests on: the figures of both releases, and those of the other questions."""
    if finding.check == "answers":
        figures = [
            f"{correct(earlier)} of {len(earlier.answers)} correct, then {correct(later)} of "
            f"{len(later.answers)}"
            for earlier, later in zip(before, after, strict=False)
        ]
        text = figures[0]
    elif finding.check == "margins":
        figures = [
            f"{shifted(earlier):.0%}, then {shifted(later):.0%}"
            for earlier, later in zip(before, after, strict=False)
        ]
        text = f"{figures[0]} of the first-token margins shifted"
    else:
        return finding.sentence.replace(f" of {finding.deployment}", "", 1)
    return text + (f" (other questions: {figures[1]})" if len(figures) > 1 else ", not repeated")


def _findings(baseline: Asked, candidate: Asked) -> list[BehaviourFinding]:
    """As the gate finds them, but with the releases' names for its two sides."""
    (version_a, of_a), (version_b, of_b) = baseline, candidate
    observations = [
        *(replace(behaviour, side="a") for behaviour in of_a),
        *(replace(behaviour, side="b") for behaviour in of_b),
    ]
    reference = DeploymentRef(of_a[0].deployment, "canary")
    names = {"baseline": version_a, "candidate": version_b}
    return [
        replace(
            finding,
            sentence=re.sub(
                r"(?:the )?\b(baseline|candidate)\b", lambda m: names[m[1]], finding.sentence
            ),
        )
        for finding in behaviour_findings([reference], observations)
        if finding.check not in _NOT_COMPARED
    ]
