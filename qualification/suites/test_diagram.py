"""What does it say of a consultant's diagram: what is there, what is not, again, and to the end?"""

import pytest

pytestmark = pytest.mark.diagram


@pytest.mark.needs("vision")
def test_describes_an_architecture_diagram(deployed, diagram, diagram_limits):
    """A picture of 1355 x 710 pixels is answered about, and the answer keeps to the limits."""
    generation = deployed.generate(diagram.request, diagram.picture, max_tokens=diagram.max_tokens)
    score = diagram.score(generation)
    for metric, value in score.metrics().items():
        deployed.record(metric, value)
    tokens = len(generation.token_times_s)
    if generation.finish_reason == "length":
        assert tokens == diagram.max_tokens, f"said to be cut at the limit, after {tokens} tokens"
    assert tokens <= diagram.max_tokens, f"{tokens} tokens of {diagram.max_tokens}"
    assert generation.image_tokens != 0, "the picture is not in the prompt"
    assert score.recall >= diagram_limits.recall, score.sentence()
    assert len(score.invented) <= diagram_limits.inventions, score.sentence()
    assert score.repetition <= diagram_limits.repetition, score.sentence()
    assert diagram_limits.may_be_cut_off or not score.cut_off, score.sentence()
