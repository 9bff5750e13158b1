"""Do the backends of one model answer alike?"""

import pytest

from qualification.parity import difference, loses_too_much, precision
from qualification.statistics import share_interval

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
