"""What the map asks a canary, and the digests that tell whether it is still the same. Pure."""

from __future__ import annotations

import hashlib
import json

from qualification.core.declarations import Deployment
from qualification.models.weights import load_request
from qualification.models.weights_revision import files_revision
from qualification.tasks.questions import Question
from qualification.upgrade.gate.observe import held_out

GATE_ATTEMPTS = (1, 0)
"""The attempts of a gate whose questions the map asks: first 24 of each skill, then, where
neighbours differ, 6 other ones. Of both the canaries' reference margins are known."""

Digests = dict[str, tuple[str, str]]
"""Deployment -> the digests of its weights and of its questions."""


def questions_of(deployment: Deployment, attempt: int) -> list[Question]:
    """The questions of an attempt of the map."""
    return held_out(deployment, GATE_ATTEMPTS[attempt])


def digests_of(deployment: Deployment) -> tuple[str, str]:
    """Of its files, and of all that the map asks it: of other ones it is asked anew."""
    questions = [
        [question.identifier, question.prompt, question.answer]
        for attempt in range(len(GATE_ATTEMPTS))
        for question in questions_of(deployment, attempt)
    ]
    return files_revision(load_request(deployment)), digest(questions)


def digest(content: object) -> str:
    """Twelve hexadecimal digits."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
