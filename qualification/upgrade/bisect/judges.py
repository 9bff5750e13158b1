"""What a check or a metric says of an environment, asked until it is beyond doubt."""

from __future__ import annotations

import dataclasses
import random

from qualification.core.declarations import Deployment
from qualification.core.errors import SelectionError
from qualification.session.context import RunContext
from qualification.upgrade.bisect.halving import Judgment, agreed
from qualification.upgrade.bisect.records import EnvironmentJudgment
from qualification.upgrade.bisect.search import Judge
from qualification.upgrade.environments.cache import Built
from qualification.upgrade.gate.compare import behaviour_findings
from qualification.upgrade.gate.decide import metric_finding, wanted_pairs
from qualification.upgrade.gate.observe import observe
from qualification.upgrade.gate.records import (
    Behaviour,
    BehaviourFinding,
    DeploymentRef,
    Pair,
    Side,
)
from qualification.upgrade.gate.timed import sample

_CHANGES = ("changed", "new warning", "both fail")
"""Notes of findings that a gate lets pass, but that a search looks for."""


class _NotAskedError(Exception):
    """The deployment does not get as far as the check."""


def behaviour_judge(
    deployment: Deployment, check: str, good: Built, context: RunContext, *, tries: int
) -> Judge:
    """Compare fresh processes of an environment with one of ``good``, at most ``tries`` times.

    The judge says ``unavailable`` of an environment in which the deployment does not get as far as
    the check.
    """
    references: list[Behaviour] = []

    def judge(built: Built) -> EnvironmentJudgment:
        if not references:
            references.append(_observed(deployment, check, good, "a", context))
        sentences: dict[bool, str] = {}
        observations: dict[bool, Behaviour] = {}

        def ask(_attempt: int) -> bool:
            observation = _observed(deployment, check, built, "b", context)
            passed, sentence = passes(
                DeploymentRef.of(deployment), check, references[0], observation
            )
            sentences[passed], observations[passed] = sentence, observation
            return passed

        try:
            answer = agreed(ask, tries)
        except _NotAskedError as error:
            return EnvironmentJudgment("unavailable", str(error))
        if answer == "unsure":
            both = "; ".join(sentences.values())
            return EnvironmentJudgment(
                "unsure", f"its answers differ between fresh processes: {both}"
            )
        return EnvironmentJudgment(
            answer, sentences[answer == "good"], observations[answer == "good"]
        )

    return judge


def passes(deployment: DeploymentRef, check: str, a: Behaviour, b: Behaviour) -> tuple[bool, str]:
    """Say whether ``b`` passes ``check`` as ``a`` does, and the gate's sentence on it."""
    findings = behaviour_findings([deployment], [a, b])
    of_check = [finding for finding in findings if finding.check.partition("[")[0] == check]
    if not of_check:
        load = [finding for finding in findings if finding.check == "load"]
        reason = load[0].sentence if load else "it was not asked"
        raise _NotAskedError(f"it does not get as far as {check}: {reason}")
    failed = [finding for finding in of_check if _is_fault(finding)]
    # The gate would repeat the check itself; here that is the judge's business.
    sentence = (failed or of_check)[0].sentence.removesuffix("; not repeated")
    return not failed, sentence


def speed_judge(
    deployment: Deployment, metric: str, good: Built, context: RunContext, *, seed: int
) -> Judge:
    """Time an environment and ``good`` in pairs of fresh processes, in random order.

    The gate's sequential test decides, with its confirmation. ``good`` is not timed against itself.
    """
    identifier = deployment.identifier

    def timed(built: Built, leader: Side, number: int) -> Pair:
        environments: tuple[tuple[Side, Built], ...] = (("a", good), ("b", built))
        samples = {
            side: sample(
                deployment,
                context=_under(environment, context),
                metrics=[metric],
                seed=number,
            )
            for side, environment in (environments if leader == "a" else environments[::-1])
        }
        return Pair(identifier, number, leader, samples["a"], samples["b"])

    def judge(built: Built) -> EnvironmentJudgment:
        if built.python == good.python:
            return EnvironmentJudgment("good", "the other environments are compared with it")
        coin = random.Random(f"{seed}:{built.key}")  # noqa: S311 (a seed, not a secret)
        pairs: list[Pair] = []
        while (count := wanted_pairs(identifier, [metric], pairs)) > len(pairs):
            for number in range(len(pairs), count):
                pairs.append(timed(built, "a" if coin.random() < 0.5 else "b", number))
        finding = metric_finding(identifier, metric, pairs)
        if finding is None:
            raise SelectionError(f"{metric} of {identifier} cannot be measured here")
        if finding.note == "failure" and finding.verdict == "regressed":
            return EnvironmentJudgment("unavailable", finding.sentence)
        answers: dict[str, Judgment] = {"pass": "good", "regressed": "bad"}
        return EnvironmentJudgment(answers.get(finding.verdict, "unsure"), finding.sentence)

    return judge


def _observed(
    deployment: Deployment, check: str, built: Built, side: Side, context: RunContext
) -> Behaviour:
    # Warnings come with the answers; loading alone would show half of them.
    checks = {check, "answers"} if check == "warnings" else {check}
    return observe(deployment, side, 0, context=_under(built, context), checks=checks)


def _under(built: Built, context: RunContext) -> RunContext:
    return dataclasses.replace(context, python=str(built.python))


def _is_fault(finding: BehaviourFinding) -> bool:
    return finding.verdict != "pass" or finding.note in _CHANGES
