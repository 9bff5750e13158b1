"""Is the same question answered alike, and equally fast, every time?"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from statistics import mean, stdev
from typing import TYPE_CHECKING, Protocol

import pytest

from qualification.core.protocol import Generation, Message, Part
from qualification.tasks.questions import Question

if TYPE_CHECKING:
    from qualification.session.deployed import Deployed
    from qualification.suites.support.answers import AskFixture, GetPairs, GetQuestions, Once

pytestmark = pytest.mark.suite("consistency", "equal answers and equal speed when repeated")

REPETITIONS = 3
WARM, SEEDS = 0.7, 12
RED, BLUE = (215, 40, 40), (45, 80, 215)
STORY = "Tell me a short story about a journey."
BISECTIONS = 7  # of the 170 levels between the two colours


class Sampled(Protocol):
    """The type of ``sampled``."""

    def __call__(self, seed: int, *, again: bool = False) -> Generation:
        """The answer at temperature 0.7 with a seed."""


def test_greedy_answers_repeat(
    deployed: Deployed, questions: GetQuestions, plain_skill: str
) -> None:
    """At temperature 0 the same question gives the same tokens every time."""
    question = questions(seed=11, count=1, skills=[plain_skill])[0]
    images = question.images()
    runs = [deployed.generate(question.prompt, *images) for _ in range(REPETITIONS)]
    assert len({(run.token_ids, run.text) for run in runs}) == 1, [run.text for run in runs]


@pytest.mark.managed
def test_greedy_answers_repeat_in_another_process(two_processes: GetPairs) -> None:
    """At temperature 0 a fresh process gives the same text."""
    changed = [
        f"{warm.question.prompt!r} -> {warm.generation.text!r}, then {fresh.generation.text!r}"
        for warm, fresh in two_processes()
        if warm.generation.text != fresh.generation.text
    ]
    assert not changed, "; ".join(changed)


def test_a_seed_repeats(sampled: Sampled) -> None:
    """At temperature 0.7 the same seed gives the same tokens."""
    before, after = sampled(1), sampled(1, again=True)
    equal = (before.token_ids, before.text) == (after.token_ids, after.text)
    assert equal, f"seed 1: {before.text!r}, then {after.text!r}"


def test_temperature_has_an_effect(sampled: Sampled) -> None:
    """At temperature 0.7 an uncertain answer differs between seeds."""
    text = sampled(1).text
    for seed in range(2, SEEDS + 1):
        if sampled(seed).text != text:
            return
    pytest.fail(f"seeds 1 to {SEEDS} at temperature {WARM} all give {text!r}")


def test_speed_repeats(
    deployed: Deployed,
    questions: GetQuestions,
    plain_skill: str,
    fixed_length: int,
    speed_variation_limit: float,
) -> None:
    """The coefficient of variation (CV) of equal requests' decoding speed stays within its limit.

    A CV over the limit is measured again with fresh requests: both must exceed it. A canary's
    tokens take milliseconds, so a single pause of the scheduler is a large part of them: its CV is
    a warning in its verdict and fails no test; its answer must have the length. Answers that come
    in a burst have no speed.
    """
    question = questions(seed=11, count=1, skills=[plain_skill])[0]
    images = question.images()

    def request() -> Generation:
        return deployed.generate(
            question.prompt, *images, max_tokens=fixed_length, fixed_length=True
        )

    assert len(request().token_times_s) == fixed_length  # the warm-up
    if deployed.is_canary:
        return
    for _ in range(2):
        observed = [speed for _ in range(REPETITIONS) if isfinite(speed := request().decode_tps)]
        if len(observed) < REPETITIONS:
            pytest.fail("tokens come in bursts, not one after the other: is the stream buffered?")
        variation = stdev(observed) / mean(observed)
        if variation <= speed_variation_limit:
            return
    text = ", ".join(f"{speed:.1f}" for speed in observed)
    pytest.fail(f"decoding speed has a CV of {variation:.0%}, twice: {text} tok/s")


@pytest.fixture
def sampled(once: Once, ask: AskFixture, deployed: Deployed, questions: GetQuestions) -> Sampled:
    """``sampled(seed, again=)``: an answer at temperature 0.7 to the most uncertain question.

    That question is the colour of a shape between red and blue, next to where the greedy answer
    changes; a model of text alone is asked for a story.
    """
    from qualification.tasks.questions import sees

    def coloured(share: float) -> Question:
        question = questions(seed=11, count=1, skills=["colour"])[0]
        scene = question.scenes[0]
        red, green, blue = (
            round(start + share * (end - start)) for start, end in zip(RED, BLUE, strict=True)
        )
        marks = (replace(scene.marks[0], fill=(red, green, blue)),)
        return replace(question, scenes=(replace(scene, marks=marks),))

    def uncertain() -> Question:
        low, high = 0.0, 1.0
        red = ask(coloured(low)).generation.text
        tried = []
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            generation = ask(coloured(middle)).generation
            tried.append((min(generation.margins, default=float("inf")), middle))
            low, high = (middle, high) if generation.text == red else (low, middle)
        # A server need not report margins; the last step is next to where the answer changes.
        with_margin = [step for step in tried if step[0] < float("inf")]
        return coloured(min(with_margin)[1] if with_margin else tried[-1][1])

    def messages() -> tuple[Message, ...]:
        if not sees(deployed.deployment.model):
            return (Message("user", (Part("text", STORY),)),)
        return deployed.messages(once("uncertain question", uncertain, Question))

    def with_seed(seed: int, *, again: bool = False) -> Generation:
        def make() -> Generation:
            return deployed.converse(*messages(), temperature=WARM, seed=seed)

        return make() if again else once(f"seed {seed}", make, Generation)

    return with_seed
