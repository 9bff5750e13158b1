"""How accurate are its answers about images, by the measure of VQA 2.0?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from qualification.session.deployed import Deployed
    from qualification.tasks.vqa.scoring import VqaScore

pytestmark = pytest.mark.suite(
    "vqa", "VQA 2.0 accuracy, on the official files or on generated questions"
)


@pytest.mark.needs("vision")
def test_vqa_accuracy(
    deployed: Deployed, vqa_score: Callable[[], VqaScore], vqa_floor: float
) -> None:
    """The official VQA accuracy reaches the floor; the simple accuracy is recorded beside it."""
    score = vqa_score()
    for metric, value in score.metrics().items():
        deployed.record(metric, value)
    assert score.accuracy.mean >= vqa_floor, score.sentence()
