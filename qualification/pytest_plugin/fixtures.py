"""Fixtures for the suites beside ``deployed``: questions, and the limits that hold here.

A test of a user's own uses them as the shipped suites do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from PIL import Image

    from qualification.core.protocol import Generation
    from qualification.session.deployed import Deployed
    from qualification.tasks.diagram.scoring import DiagramScore
    from qualification.tasks.questions import Question
    from qualification.tasks.vqa.scoring import VqaItem, VqaScore, VqaSet

CANARY_MARGINS = 0.03
"""Median of |ln(ratio)|. Right backends stay under it; rotary sections that are wrong give 4 %."""

CANARY_ACCURACY = 0.98
HARDWARE_TOKENS, SLOW_TOKENS, CANARY_TOKENS = 128, 32, 64
"""Of a timed request: where models are used, where there is no accelerator, and of canaries."""

SUSTAINED_MINUTES = 5.0
"""Of load without a pause before a speed is called sustained (MEASURING, "Preconditions")."""

VQA_FLOOR = 0.95
VQA_SEED = 2026
VQA_OFFICIAL, VQA_GENERATED = 100, 60
"""Questions that are asked of either set unless ``--vqa-sample`` says otherwise."""

VQA_SKILLS = ("colour", "shape", "both", "count", "position", "word")
VQA_TOKENS = 32
"""A real model is asked for a single word or phrase."""

DIAGRAM_TOKENS = 600
"""Twice what the seeds allowed: all 24 names with a sentence each end before."""


@pytest.fixture
def questions() -> Callable[..., list[Question]]:
    """``questions(seed=, count=, skills=)``: held-out questions with their right answers."""
    from qualification.tasks.questions import generate

    def held_out(*, seed: int, count: int, skills: Sequence[str]) -> list[Question]:
        return generate(seed=seed, count=count, split="heldout", skills=skills)

    return held_out


@pytest.fixture
def load_limit_s(deployed: Deployed) -> float:
    """Seconds that loading may take on this machine's tier."""
    from qualification.judging.budgets import load_limit_s

    return load_limit_s(deployed.deployment, deployed.tier)


@pytest.fixture
def memory_limit_bytes(deployed: Deployed) -> float:
    """The tier's critical mark, in bytes of this machine's memory."""
    from qualification.models.memory_fit import critical_memory_bytes

    return critical_memory_bytes(deployed.machine, deployed.tier)


@pytest.fixture
def accuracy_floor(deployed: Deployed) -> float:
    """A canary must answer; what a real model reaches is recorded, not demanded."""
    from qualification.tasks.agreement import LOSS_LIMIT, precision

    if not deployed.is_canary:
        return 0.0
    exact = precision(deployed.deployment.source.quantisation)
    return CANARY_ACCURACY if exact else CANARY_ACCURACY - LOSS_LIMIT


@pytest.fixture
def fixed_length(deployed: Deployed) -> int:
    """Tokens of a request whose speed is measured."""
    if deployed.is_canary:
        return CANARY_TOKENS
    slow = deployed.tier is not None and deployed.tier.accelerator == "none"
    return SLOW_TOKENS if slow else HARDWARE_TOKENS


@pytest.fixture
def sustained_minutes(request: pytest.FixtureRequest) -> float:
    """Minutes of ``--sustained``; a test that takes them is left out without it."""
    return float(request.config.getoption("--sustained"))


@pytest.fixture
def cold_load() -> None:
    """What takes this is left out without ``--cold-load``: it reads all weights from the disk."""


@pytest.fixture
def speed_variation_limit() -> float:
    """Standard deviation over mean that equal requests may show."""
    from qualification.judging.budgets import CONSISTENT_VARIATION

    return CONSISTENT_VARIATION


@pytest.fixture
def skill_floor(deployed: Deployed) -> float:
    """Share of a skill's few questions: one odd picture does not decide, guessing does not pass.

    What exactly is reached is in a canary's manifest and, over all skills, in ``accuracy``.
    """
    return 0.75 if deployed.is_canary else 0.5


@pytest.fixture
def parity_floor(deployed: Deployed) -> float:
    """Share of questions that deployments of one precision must answer token by token alike."""
    return 0.98 if deployed.is_canary else 0.0


@pytest.fixture
def margin_limit(deployed: Deployed) -> float:
    """By how much the margins of a canary's equal answers may differ between backends."""
    return CANARY_MARGINS if deployed.is_canary else float("inf")


@pytest.fixture
def context_floor(deployed: Deployed) -> float:
    """A canary must remember; what a real model remembers is recorded, not demanded."""
    return 0.95 if deployed.is_canary else 0.0


@pytest.fixture
def growth_limit_bytes(deployed: Deployed) -> int:
    """Bytes per request that a process may grow by, once its caches are full."""
    from qualification.judging.memory_growth import GROWTH_LIMIT, GROWTH_LIMIT_CANARY

    return GROWTH_LIMIT_CANARY if deployed.is_canary else GROWTH_LIMIT


@pytest.fixture(scope="session")
def official_vqa(pytestconfig: pytest.Config) -> VqaSet | None:
    """A sample of the official questions in the folder of ``--vqa-dir``; None without it."""
    folder = pytestconfig.getoption("--vqa-dir")
    if not folder:
        return None
    from qualification.tasks.vqa.dataset import official_set

    sample = pytestconfig.getoption("--vqa-sample") or VQA_OFFICIAL
    seed = pytestconfig.getoption("--vqa-seed")
    return official_set(Path(folder), sample, seed)


@pytest.fixture
def vqa_questions(
    deployed: Deployed, official_vqa: VqaSet | None, pytestconfig: pytest.Config
) -> VqaSet:
    """The official sample for real weights where there is one, else generated questions."""
    if official_vqa is not None and not deployed.is_canary:
        return official_vqa
    from qualification.tasks.questions import generate
    from qualification.tasks.vqa.scoring import generated_set

    count = pytestconfig.getoption("--vqa-sample") or VQA_GENERATED
    seed = pytestconfig.getoption("--vqa-seed")
    learnt = deployed.deployment.model.skills or VQA_SKILLS
    skills = tuple(skill for skill in VQA_SKILLS if skill in learnt)
    return generated_set(generate(seed, count, "heldout", skills))


@pytest.fixture
def vqa_score(deployed: Deployed, vqa_questions: VqaSet) -> Callable[[], VqaScore]:
    """``vqa_score()``: asks the deployment all of the set and scores what it says."""
    from qualification.tasks.vqa.scoring import SHORT_ANSWER, score

    # A canary knows its prompts to the letter.
    hint = "" if deployed.is_canary else f" {SHORT_ANSWER}"

    def answer(item: VqaItem) -> str:
        if item.generated is not None:
            question = dataclasses.replace(item.generated, prompt=item.generated.prompt + hint)
            return deployed.answer(question)
        return deployed.ask(item.question + hint, item.image(), max_tokens=VQA_TOKENS)

    return lambda: score(vqa_questions, [answer(item) for item in vqa_questions.items])


@pytest.fixture
def vqa_floor(deployed: Deployed) -> float:
    """A canary must answer; what a real model reaches is recorded, not demanded."""
    return VQA_FLOOR if deployed.is_canary else 0.0


@dataclass(frozen=True)
class Diagram:
    """The drawn enterprise-architecture picture, and how it is asked about and scored."""

    picture: Image.Image
    request: str
    max_tokens: int

    def score(self, generation: Generation) -> DiagramScore:
        """Hold an answer against what is written in the picture."""
        from qualification.tasks.diagram.scoring import score

        return score(generation.text, generation.finish_reason)


@dataclass(frozen=True)
class DiagramLimits:
    """What an answer about the diagram must keep to; shares of 1 and counts."""

    recall: float = 0.5
    inventions: int = 0
    repetition: int = 2
    may_be_cut_off: bool = False


@pytest.fixture
def diagram(deployed: Deployed) -> Diagram:
    """``diagram.picture`` (1355 x 710 pixels), ``diagram.request``, ``diagram.score(...)``."""
    from qualification.tasks.diagram.picture import REQUEST, draw

    return Diagram(draw(), REQUEST, CANARY_TOKENS if deployed.is_canary else DIAGRAM_TOKENS)


@pytest.fixture
def diagram_limits(deployed: Deployed) -> DiagramLimits:
    """A canary cannot read a diagram: of its answer, only that there is one is demanded."""
    if not deployed.is_canary:
        return DiagramLimits()
    return DiagramLimits(recall=0.0, inventions=10**6, repetition=10**6, may_be_cut_off=True)
