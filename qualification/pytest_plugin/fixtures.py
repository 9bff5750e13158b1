"""Fixtures beside ``deployed`` that any test may use: questions, tasks and limits.

A fixture is here if a single test of a user's own can use it: it depends on the deployment, the
tier and the options alone. Answers that several shipped suites judge are in ``suites/conftest.py``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from qualification.pytest_plugin.redaction import (
    pytest_runtest_makereport as pytest_runtest_makereport,  # a hook of this module, to pytest
)

if TYPE_CHECKING:
    from qualification.core.declarations import Deployment
    from qualification.pytest_plugin.running import Running
    from qualification.session.deployed import Deployed
    from qualification.session.journal import Journal
    from qualification.tasks.diagram.scoring import Diagram, DiagramLimits
    from qualification.tasks.questions import Question
    from qualification.tasks.vqa.scoring import VqaItem, VqaScore, VqaSet

CANARY_MARGINS = 0.03
"""Median of |ln(ratio)|. Correct backends stay below it; wrong rotary sections give 4 %."""

CANARY_ACCURACY = 0.98
HARDWARE_TOKENS, SLOW_TOKENS, CANARY_TOKENS = 128, 32, 32
"""Tokens of a timed request: with an accelerator, without one, and of a canary."""

SUSTAINED_MINUTES = 5.0
"""Minutes of uninterrupted load before a speed is sustained (docs/measuring.md, "Speed")."""

VQA_FLOOR = 0.95
VQA_OFFICIAL, VQA_GENERATED = 100, 60
"""Questions of either set unless ``--vqa-sample`` sets another number."""

VQA_SKILLS = ("colour", "shape", "both", "count", "position", "word")
VQA_TOKENS = 32
"""Enough for a real model, which is asked for a single word or phrase."""

DIAGRAM_TOKENS = 600
"""Enough for one sentence on each of the 24 components."""


# The session keeps the loaded deployment; a fixture that lived as long would also keep a failure to
# load and repeat it for every test.
@pytest.fixture
def deployed(request: pytest.FixtureRequest) -> Deployed:
    """A deployment, loaded once for all its tests in a process of its own."""
    running = cast("Running", request.config.pluginmanager.get_plugin("qualification-running"))
    return running.deployed(request)


@pytest.fixture
def _kept_answers(
    request: pytest.FixtureRequest, deployed: Deployed
) -> tuple[Journal, tuple[Deployment, ...]]:
    """For the shipped suites: the run's journal, and whose answers it had when it was resumed."""
    running = cast("Running", request.config.pluginmanager.get_plugin("qualification-running"))
    return running.kept_answers()


@pytest.fixture
def questions() -> Callable[..., list[Question]]:
    """``questions(seed=, count=, skills=)``: held-out questions with their correct answers."""
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
    """The tier's critical threshold, in bytes of this machine's memory."""
    from qualification.models.memory_fit import critical_memory_bytes

    return critical_memory_bytes(deployed.machine, deployed.tier)


@pytest.fixture
def accuracy_floor(deployed: Deployed) -> float:
    """A canary must reach this accuracy; a real model's accuracy is only recorded."""
    from qualification.tasks.agreement import LOSS_LIMIT, precision

    if not deployed.is_canary:
        return 0.0
    exact = precision(deployed.deployment.source.quantisation)
    return CANARY_ACCURACY if exact else CANARY_ACCURACY - LOSS_LIMIT


@pytest.fixture
def fixed_length(deployed: Deployed) -> int:
    """Tokens of a timed request."""
    if deployed.is_canary:
        return CANARY_TOKENS
    slow = deployed.tier is not None and deployed.tier.accelerator == "none"
    return SLOW_TOKENS if slow else HARDWARE_TOKENS


@pytest.fixture
def sustained_minutes(request: pytest.FixtureRequest) -> float:
    """Minutes of ``--sustained``; a test that takes this is deselected without the option."""
    return float(request.config.getoption("--sustained"))


@pytest.fixture
def cold_load() -> None:
    """A test that takes this is deselected without ``--cold-load``: it reads all weights again."""


@pytest.fixture
def speed_variation_limit() -> float:
    """The largest coefficient of variation that equal requests may show."""
    from qualification.judging.budgets import CONSISTENT_VARIATION

    return CONSISTENT_VARIATION


@pytest.fixture
def skill_floor(deployed: Deployed) -> float:
    """Accuracy on a skill's few questions: one odd image does not decide, guessing does not pass.

    The exact accuracy is in a canary's manifest and, over all skills, in ``accuracy``.
    """
    return 0.75 if deployed.is_canary else 0.5


@pytest.fixture
def parity_floor(deployed: Deployed) -> float:
    """Share of questions on which deployments of one precision must agree token by token."""
    return 0.98 if deployed.is_canary else 0.0


@pytest.fixture
def margin_limit(deployed: Deployed) -> float:
    """The largest difference between backends in the logit margins of a canary's equal answers."""
    return CANARY_MARGINS if deployed.is_canary else float("inf")


@pytest.fixture
def context_floor(deployed: Deployed) -> float:
    """A canary must reach this retention; a real model's retention is only recorded."""
    return 0.95 if deployed.is_canary else 0.0


@pytest.fixture
def growth_limit_bytes(deployed: Deployed) -> int:
    """Bytes per request by which a process may grow once its caches are full."""
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
    """The official sample for real weights if there is one, else generated questions.

    Those of a canary are the ones of the other suites, unless ``--vqa-sample`` sets a number.
    """
    if official_vqa is not None and not deployed.is_canary:
        return official_vqa
    from qualification.tasks.questions import asked_once, generate
    from qualification.tasks.vqa.scoring import generated_set

    sample = pytestconfig.getoption("--vqa-sample")
    seed = pytestconfig.getoption("--vqa-seed")
    trained = deployed.deployment.model.skills or VQA_SKILLS
    skills = tuple(skill for skill in VQA_SKILLS if skill in trained)
    if deployed.is_canary and not sample:
        return generated_set([item for skill in skills for item in asked_once(skill)])
    return generated_set(generate(seed, sample or VQA_GENERATED, "heldout", skills))


@pytest.fixture
def vqa_score(deployed: Deployed, vqa_questions: VqaSet) -> Callable[[], VqaScore]:
    """``vqa_score()``: asks the deployment the whole set and scores its answers."""
    from qualification.tasks.vqa.scoring import SHORT_ANSWER, score

    # A canary knows only the exact prompts of its training.
    hint = "" if deployed.is_canary else f" {SHORT_ANSWER}"

    def answer(item: VqaItem) -> str:
        if item.generated is not None:
            question = dataclasses.replace(item.generated, prompt=item.generated.prompt + hint)
            return deployed.answer(question, reuse=True)
        return deployed.ask(item.question + hint, item.image(), max_tokens=VQA_TOKENS)

    return lambda: score(vqa_questions, [answer(item) for item in vqa_questions.items])


@pytest.fixture
def vqa_floor(deployed: Deployed) -> float:
    """A canary must reach this accuracy; a real model's accuracy is only recorded."""
    return VQA_FLOOR if deployed.is_canary else 0.0


@pytest.fixture
def diagram(deployed: Deployed) -> Diagram:
    """``diagram.image`` (1355 x 710 pixels), ``diagram.request``, ``diagram.score(...)``."""
    from qualification.tasks.diagram.drawing import REQUEST, draw
    from qualification.tasks.diagram.scoring import Diagram

    return Diagram(draw(), REQUEST, CANARY_TOKENS if deployed.is_canary else DIAGRAM_TOKENS)


@pytest.fixture
def diagram_limits(deployed: Deployed) -> DiagramLimits:
    """A canary cannot read a diagram: its answer has no limits."""
    from qualification.tasks.diagram.scoring import DiagramLimits

    if not deployed.is_canary:
        return DiagramLimits()
    return DiagramLimits(0.0, 10**6, 10**6, may_be_truncated=True)
