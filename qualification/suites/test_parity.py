"""Do the backends of one model answer alike?"""

from __future__ import annotations

from collections.abc import Iterator
from math import log
from statistics import median
from typing import TYPE_CHECKING

import pytest

from qualification.judging.stats.estimators import share_interval
from qualification.tasks.agreement import difference, loses_too_much, precision

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import AnsweredQuestion, Cache, GetAnswers

pytestmark = pytest.mark.suite("parity", "equal answers on every backend of a model")

_Pairs = list[tuple["AnsweredQuestion", "AnsweredQuestion"]]


@pytest.mark.needs("vision")
def test_answers_as_its_other_deployments_do(
    deployed: Deployed,
    answers: GetAnswers,
    skills: tuple[str, ...],
    caches: dict[str, Cache],
    parity_floor: float,
) -> None:
    """Compared with the deployments of its model that ran earlier; the first is the reference.

    At the same precision the tokens must be equal; a quantised model must only be as accurate.
    The questions are a few dozen, so it misses the floor only if its whole 95 % interval does.
    """
    own_precision = precision(deployed.deployment.source.quantisation)
    problems = []
    for cache, pairs in _comparisons(deployed, answers, skills, caches):
        name = cache.deployment.identifier
        reference_precision = precision(cache.deployment.source.quantisation)
        if not pairs or not reference_precision:
            continue
        if own_precision == reference_precision:
            problems += _token_problems(pairs, deployed.identifier, name, parity_floor)
        elif deployed.is_canary:
            correct = [ours.is_correct for ours, _ in pairs]
            reference = [theirs.is_correct for _, theirs in pairs]
            if loses_too_much(reference, correct):
                problems.append(
                    f"{sum(correct)} of {len(pairs)} correct, {sum(reference)} from {name}"
                )
    assert not problems, "; ".join(problems)


@pytest.mark.needs("vision")
def test_is_as_sure_as_its_other_deployments(
    deployed: Deployed,
    answers: GetAnswers,
    skills: tuple[str, ...],
    caches: dict[str, Cache],
    margin_limit: float,
) -> None:
    """At the same precision, equal answers have about the same first-token logit margins.

    This detects a fault that a well-trained model answers correctly in spite of. The median counts,
    because each backend resamples some image sizes in its own way.
    """
    own_precision = precision(deployed.deployment.source.quantisation)
    problems = []
    with_images = tuple(skill for skill in skills if skill != "text")
    for cache, pairs in _comparisons(deployed, answers, with_images, caches):
        if not own_precision or precision(cache.deployment.source.quantisation) != own_precision:
            continue
        distances = [
            abs(log(ours.generation.margins[0] / theirs.generation.margins[0]))
            for ours, theirs in pairs
            if ours.generation.token_ids == theirs.generation.token_ids
            if min(_first_margin(ours), _first_margin(theirs)) > 0
        ]
        if distances and median(distances) > margin_limit:
            problems.append(
                f"the logit margins of {len(distances)} equal answers are {median(distances):.1%} "
                f"from those of {cache.deployment.identifier} (median, the limit is "
                f"{margin_limit:.0%})"
            )
    assert not problems, "; ".join(problems)


def _comparisons(
    deployed: Deployed, answers: GetAnswers, skills: tuple[str, ...], caches: dict[str, Cache]
) -> Iterator[tuple[Cache, _Pairs]]:
    """The cache of each other deployment of the model, with pairs of our answer and its answer."""
    ours = {answer.question: answer for skill in skills for answer in answers(skill)}
    for name, cache in caches.items():
        if name == deployed.identifier:
            continue
        if cache.deployment.model.name != deployed.deployment.model.name:
            continue
        theirs = [answer for skill in skills for answer in cache.answers(skill)]
        yield (
            cache,
            [(ours[answer.question], answer) for answer in theirs if answer.question in ours],
        )


def _token_problems(pairs: _Pairs, our_name: str, their_name: str, floor: float) -> list[str]:
    """The share of equal answers if it misses the floor, and the first three differences."""
    differences = [difference(ours.generation, theirs.generation) for ours, theirs in pairs]
    equal = share_interval([divergence is None for divergence in differences])
    if equal.upper >= floor:
        return []
    sentences = [
        divergence.sentence(ours.question.prompt, our_name, their_name)
        for divergence, (ours, _) in zip(differences, pairs, strict=True)
        if divergence is not None
    ]
    return [f"{equal} of the answers equal those of {their_name}", *sentences[:3]]


def _first_margin(answer: AnsweredQuestion) -> float:
    return answer.generation.margins[0] if answer.generation.margins else 0.0
