"""What a check or a metric says of an environment, asked until it is beyond doubt."""

from __future__ import annotations

import random
from collections.abc import Sequence

from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.upgrade.bisect.halving import Answer, agreed
from qualification.upgrade.bisect.search import Judge, Judged
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.gate.compare import behaviour_findings
from qualification.upgrade.gate.decide import metric_finding, wanted_pairs
from qualification.upgrade.gate.observe import observe
from qualification.upgrade.gate.records import Behaviour, BehaviourFinding, Pair, Side
from qualification.upgrade.gate.side import Place
from qualification.upgrade.gate.timed import sample

_CHANGES = ("changed", "new warning", "both fail")
"""Notes of findings that a gate lets pass and that are what a search looks for."""


class _NotAskedError(Exception):
    """The deployment does not get as far as the check."""


def behaviour_judge(
    deployment: Deployment, check: str, good: Built, place: Place, *, tries: int
) -> Judge:
    """Hold fresh processes of an environment against one of ``good``, ``tries`` times at most.

    The judge says ``unavailable`` of an environment in which the deployment does not load, unless
    that is the check. Raises SelectionError where ``good`` itself does not get to the check.
    """
    reference: list[Behaviour] = []

    def judge(built: Built) -> Judged:
        if not reference:
            reference.append(_observed(deployment, check, good, "a", place))
        sentences: dict[bool, str] = {}
        observations: dict[bool, Behaviour] = {}

        def ask(_attempt: int) -> bool:
            seen = _observed(deployment, check, built, "b", place)
            passed, sentence = held_against(check, reference[0], seen)
            sentences[passed], observations[passed] = sentence, seen
            return passed

        try:
            answer = agreed(ask, tries)
        except _NotAskedError as error:
            return Judged("unavailable", str(error))
        if answer == "unsure":
            both = "; ".join(sentences.values())
            return Judged("unsure", f"it does not answer alike in fresh processes: {both}")
        return Judged(answer, sentences[answer == "good"], observations[answer == "good"])

    return judge


def held_against(check: str, a: Behaviour, b: Behaviour) -> tuple[bool, str]:
    """Say whether ``b`` passes ``check`` as ``a`` does, and the gate's sentence on it."""
    findings = behaviour_findings([a, b])
    of_check = [one for one in findings if one.check.partition("[")[0] == check]
    if not of_check:
        load = [one for one in findings if one.check == "load"]
        why = load[0].sentence if load else "it was not asked"
        raise _NotAskedError(f"it does not get as far as {check}: {why}")
    wrong = [one for one in of_check if _is_wrong(one)]
    return not wrong, _in_words((wrong or of_check)[0])


def speed_judge(
    deployment: Deployment, metric: str, good: Built, place: Place, *, seed: int
) -> Judge:
    """Time an environment and ``good`` in pairs of fresh processes, order by a fair coin.

    The gate's rule decides, its confirmation included. ``good`` itself is not timed against itself.
    """

    def judge(built: Built) -> Judged:
        if built.python == good.python:
            return Judged("good", "it is what the others are held against")
        coin = random.Random(f"{seed}:{built.key}")  # noqa: S311 (a seed, not a secret)
        pairs: list[Pair] = []
        while (wanted := wanted_pairs(deployment.identifier, [metric], pairs)) > len(pairs):
            for number in range(len(pairs), wanted):
                first: Side = "a" if coin.random() < 0.5 else "b"
                pairs.append(_timed(deployment, metric, good, built, place, number, first))
        finding = metric_finding(deployment.identifier, metric, pairs)
        if finding is None:
            raise SelectionError(f"{metric} cannot be told of {deployment.identifier} here")
        if finding.note == "failure" and finding.verdict == "regressed":
            return Judged("unavailable", finding.sentence)
        answers: dict[str, Answer] = {"pass": "good", "regressed": "bad"}
        return Judged(answers.get(finding.verdict, "unsure"), finding.sentence)

    return judge


def _timed(
    deployment: Deployment,
    metric: str,
    good: Built,
    other: Built,
    place: Place,
    number: int,
    first: Side,
) -> Pair:
    order: Sequence[tuple[Side, Built]] = (("a", good), ("b", other))
    samples = {
        side: sample(
            deployment, python=str(built.python), place=place, metrics=[metric], seed=number
        )
        for side, built in (order if first == "a" else order[::-1])
    }
    return Pair(deployment.identifier, number, first, samples["a"], samples["b"])


def _observed(
    deployment: Deployment, check: str, built: Built, side: Side, place: Place
) -> Behaviour:
    # What is warned of comes with the answers; loading alone would show half of it.
    checks = {check, "answers"} if check == "warnings" else {check}
    return observe(deployment, side, 0, python=str(built.python), place=place, checks=checks)


def _is_wrong(finding: BehaviourFinding) -> bool:
    return finding.verdict != "pass" or finding.note in _CHANGES


def _in_words(finding: BehaviourFinding) -> str:
    # The gate would repeat it itself; here that is the judge's business.
    return finding.sentence.removesuffix("; not repeated")
