"""Is the same question answered alike, and equally fast, every time?"""

from dataclasses import replace
from statistics import mean, stdev

import pytest

pytestmark = pytest.mark.consistency

REPETITIONS = 3
WARM, SEEDS = 0.7, 12
RED, BLUE = (215, 40, 40), (45, 80, 215)
HALVINGS = 7  # of 170 levels between the two


@pytest.mark.needs("vision")
def test_greedy_answers_repeat(deployed, questions):
    """At temperature 0 the same question gives the same tokens every time."""
    question = questions(seed=11, count=1, skills=["both"])[0]
    pictures = question.images()
    runs = [deployed.generate(question.prompt, *pictures) for _ in range(REPETITIONS)]
    assert len({(run.token_ids, run.text) for run in runs}) == 1, [run.text for run in runs]


@pytest.mark.owned
@pytest.mark.needs("vision")
def test_greedy_answers_repeat_in_another_process(two_processes):
    """At temperature 0 a fresh process gives the same text."""
    differ = [
        f"{one.question.prompt!r} -> {one.generation.text!r}, then {other.generation.text!r}"
        for one, other in two_processes()
        if one.generation.text != other.generation.text
    ]
    assert not differ, "; ".join(differ)


@pytest.mark.needs("vision")
def test_a_seed_repeats(sampled):
    """At temperature 0.7 the same seed gives the same tokens."""
    once, again = sampled(1), sampled(1, again=True)
    same = (once.token_ids, once.text) == (again.token_ids, again.text)
    assert same, f"seed 1: {once.text!r}, then {again.text!r}"


@pytest.mark.needs("vision")
def test_temperature_has_an_effect(sampled):
    """At temperature 0.7 what it is unsure of is not answered alike with every seed."""
    first = sampled(1)
    for seed in range(2, SEEDS + 1):
        if sampled(seed).text != first.text:
            return
    pytest.fail(f"seeds 1 to {SEEDS} at temperature {WARM} all give {first.text!r}")


@pytest.mark.needs("vision")
def test_speed_repeats(deployed, questions, fixed_length, speed_variation_limit):
    """Decoding speed of equal requests varies no more than allowed (standard deviation / mean).

    What varies too much is measured again on fresh requests: both must agree. A canary's tokens
    take milliseconds, so one pause of the scheduler is a large part: how its speed varies is in
    its verdict as a warning and fails no test.
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
        if deployed.is_canary or variation <= speed_variation_limit:
            return
    shown = ", ".join(f"{speed:.1f}" for speed in seen)
    pytest.fail(f"decoding speed varies by {variation:.0%}, twice: {shown} tok/s")


@pytest.fixture
def sampled(once, ask, deployed, questions):
    """``sampled(seed, again=)``: at temperature 0.7, asked what it is least sure of.

    That is a shape's colour between red and blue, near where its greedy answer changes.
    """
    question = questions(seed=11, count=1, skills=["colour"])[0]

    def coloured(share):
        scene = question.scenes[0]
        fill = tuple(round(one + share * (two - one)) for one, two in zip(RED, BLUE, strict=True))
        return replace(
            question, scenes=(replace(scene, marks=(replace(scene.marks[0], fill=fill),)),)
        )

    def doubtful():
        low, high = 0.0, 1.0
        red = ask(coloured(low)).generation.text
        tried = []
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            generation = ask(coloured(middle)).generation
            tried.append((min(generation.margins, default=float("inf")), middle))
            low, high = (middle, high) if generation.text == red else (low, middle)
        # A server need not tell margins; the last half is next to where the answer changes.
        known = [one for one in tried if one[0] < float("inf")]
        return coloured(min(known)[1] if known else tried[-1][1])

    def with_seed(seed, *, again=False):
        messages = deployed.messages(once("doubtful", doubtful))

        def make():
            return deployed.converse(*messages, temperature=WARM, seed=seed)

        return make() if again else once(f"seed {seed}", make)

    return with_seed
