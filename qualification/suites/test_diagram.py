"""How complete and how true is its description of a consultant's diagram?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.tasks.diagram.scoring import Diagram, DiagramLimits

pytestmark = pytest.mark.suite(
    "diagram", "recall, hallucination, repetition and truncation on a drawn diagram"
)


@pytest.mark.needs("vision")
def test_describes_an_architecture_diagram(
    deployed: Deployed, diagram: Diagram, diagram_limits: DiagramLimits
) -> None:
    """The description of an image of 1355 x 710 pixels keeps to the limits."""
    generation = deployed.generate(diagram.request, diagram.image, max_tokens=diagram.max_tokens)
    score = diagram.score(generation)
    for metric, value in score.metrics().items():
        deployed.record(metric, value)
    tokens = len(generation.token_times_s)
    if generation.finish_reason == "length":
        assert tokens == diagram.max_tokens, f"reported as ended by the limit after {tokens} tokens"
    assert tokens <= diagram.max_tokens, f"{tokens} tokens of {diagram.max_tokens}"
    assert generation.image_tokens != 0, "the image is not in the prompt"
    assert score.recall >= diagram_limits.recall, score.sentence()
    assert len(score.hallucinated) <= diagram_limits.hallucinations, score.sentence()
    assert score.repetition <= diagram_limits.repetition, score.sentence()
    assert diagram_limits.may_be_truncated or not score.truncated, score.sentence()
