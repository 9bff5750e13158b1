"""How well does it answer questions about pictures, by the measure of VQA 2.0?"""

import pytest

pytestmark = pytest.mark.vqa


@pytest.mark.needs("vision")
def test_vqa_accuracy(deployed, vqa_score, vqa_floor):
    """The official VQA accuracy reaches the floor; the simple one is recorded beside it."""
    score = vqa_score()
    for metric, value in score.metrics().items():
        deployed.record(metric, value)
    assert score.accuracy.mean >= vqa_floor, score.sentence()
