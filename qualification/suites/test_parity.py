"""Do the backends of one model answer alike?"""

from math import log
from statistics import median

import pytest

from qualification.judging.stats.estimators import share_interval
from qualification.tasks.agreement import difference, loses_too_much, precision

pytestmark = pytest.mark.parity


@pytest.mark.needs("vision")
def test_answers_as_its_other_deployments_do(deployed, answered, skills, kept, parity_floor):
    """Held against those of the model that ran before it; the first is what the others meet.

    Of one precision: the same tokens. Quantised: as often right. It misses the mark only where the
    whole 95 % interval does: the questions are a few dozen.
    """
    ours = {each.question: each for skill in skills for each in answered(skill)}
    problems = []
    for name, other in kept.items():
        model, source = other.deployment.model, other.deployment.source
        if name == deployed.identifier or model.name != deployed.deployment.model.name:
            continue
        pairs = [
            (ours[each.question], each)
            for skill in skills
            for each in other.things.get(skill, ())
            if each.question in ours
        ]
        if not pairs:
            continue
        alike = precision(source.quantisation)
        if alike and alike == precision(deployed.deployment.source.quantisation):
            found = [difference(one.generation, two.generation) for one, two in pairs]
            equal = share_interval([each is None for each in found])
            if equal.upper < parity_floor:
                problems.append(f"{equal} of the answers equal those of {name}")
                problems += [
                    each.sentence(one.question.prompt, deployed.identifier, name)
                    for each, (one, _) in zip(found, pairs, strict=True)
                    if each is not None
                ][:3]
        elif alike and deployed.is_canary:
            right = [[each.right for each in side] for side in zip(*pairs, strict=True)]
            if loses_too_much(right[1], right[0]):
                problems.append(
                    f"{sum(right[0])} of {len(pairs)} right, {sum(right[1])} from {name}"
                )
    assert not problems, "; ".join(problems)


@pytest.mark.needs("vision")
def test_is_as_sure_as_its_other_deployments(deployed, answered, skills, kept, margin_limit):
    """Of one precision, where the answers are equal: their first tokens' margins are alike too.

    A fault that a well-trained model answers in spite of shows here. The median counts, because
    backends resample some sizes of picture in ways of their own.
    """
    ours = {e.question: e for skill in skills if skill != "text" for e in answered(skill)}
    problems = []
    for name, other in kept.items():
        model, source = other.deployment.model, other.deployment.source
        if name == deployed.identifier or model.name != deployed.deployment.model.name:
            continue
        if precision(source.quantisation) != precision(deployed.deployment.source.quantisation):
            continue
        pairs = [
            (ours[each.question].generation, each.generation)
            for skill in skills
            for each in other.things.get(skill, ())
            if each.question in ours
        ]
        apart = [
            abs(log(one.margins[0] / two.margins[0]))
            for one, two in pairs
            if one.token_ids == two.token_ids and one.margins and two.margins
            if min(one.margins[0], two.margins[0]) > 0
        ]
        if precision(source.quantisation) and apart and median(apart) > margin_limit:
            problems.append(
                f"the margins of {len(apart)} equal answers are {median(apart):.1%} from those of "
                f"{name} (median, the limit is {margin_limit:.0%})"
            )
    assert not problems, "; ".join(problems)
