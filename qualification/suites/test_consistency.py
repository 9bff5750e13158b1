"""Is the same question answered alike, and equally fast, every time?"""

from statistics import mean, stdev

import pytest

pytestmark = pytest.mark.consistency

REPETITIONS = 3


@pytest.mark.needs("vision")
def test_greedy_answers_repeat(deployed, questions):
    """At temperature 0 the same question gives the same tokens every time."""
    question = questions(seed=11, count=1, skills=["both"])[0]
    pictures = question.images()
    runs = [deployed.generate(question.prompt, *pictures) for _ in range(REPETITIONS)]
    assert len({run.token_ids for run in runs}) == 1, [run.text for run in runs]


@pytest.mark.needs("vision")
def test_speed_repeats(deployed, questions, fixed_length, speed_variation_limit):
    """Decoding speed of equal requests varies no more than allowed (standard deviation / mean).

    What varies too much is measured again on fresh requests: both must agree.
    """
    question = questions(seed=11, count=1, skills=["both"])[0]
    pictures = question.images()

    def speeds():
        for _ in range(REPETITIONS):
            yield deployed.generate(
                question.prompt, *pictures, max_tokens=fixed_length, fixed_length=True
            ).decode_tps

    next(speeds())  # warm-up
    for _ in range(2):
        seen = list(speeds())
        variation = stdev(seen) / mean(seen)
        if variation <= speed_variation_limit:
            return
    shown = ", ".join(f"{speed:.1f}" for speed in seen)
    pytest.fail(f"decoding speed varies by {variation:.0%}, twice: {shown} tok/s")
