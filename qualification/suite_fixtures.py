"""Fixtures for the suites beside ``deployed``: questions, and the limits that hold here.

A test of a user's own uses them as the shipped suites do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from qualification.questions import Question
    from qualification.session import Deployed

CANARY_ACCURACY = 0.98
HARDWARE_TOKENS, CANARY_TOKENS = 128, 64


@pytest.fixture
def questions() -> Callable[..., list[Question]]:
    """``questions(seed=, count=, skills=)``: held-out questions with their right answers."""
    from qualification.questions import generate

    def held_out(*, seed: int, count: int, skills: Sequence[str]) -> list[Question]:
        return generate(seed=seed, count=count, split="heldout", skills=skills)

    return held_out


@pytest.fixture
def load_limit_s(deployed: Deployed) -> float:
    """Seconds that loading may take on this machine's tier."""
    from qualification.budgets import load_limit_s

    return load_limit_s(deployed.deployment, deployed.tier)


@pytest.fixture
def memory_limit_bytes(deployed: Deployed) -> float:
    """The tier's critical mark, in bytes of this machine's memory."""
    from qualification.plan import critical_memory_bytes

    return critical_memory_bytes(deployed.machine, deployed.tier)


@pytest.fixture
def accuracy_floor(deployed: Deployed) -> float:
    """A canary must answer; what a real model reaches is recorded, not demanded."""
    return CANARY_ACCURACY if deployed.is_canary else 0.0


@pytest.fixture
def fixed_length(deployed: Deployed) -> int:
    """Tokens of a request whose speed is measured."""
    return CANARY_TOKENS if deployed.is_canary else HARDWARE_TOKENS


@pytest.fixture
def speed_variation_limit(deployed: Deployed) -> float:
    """Standard deviation over mean that equal requests may show."""
    from qualification.budgets import CANARY_VARIATION, CONSISTENT_VARIATION

    return CANARY_VARIATION if deployed.is_canary else CONSISTENT_VARIATION
