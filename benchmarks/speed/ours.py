"""Measured by the harness: a deployment in a worker of its own, asked through its channel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from qualification.core.declarations import Deployment, answers_at_random
from qualification.core.protocol import GenerateRequest, Generation, Message, Part
from qualification.models.loading import load_registry
from qualification.models.synthetic.cache import ready
from qualification.models.weights import load_request
from qualification.session.worker import Worker

DEADLINE_S = 900.0
LONG, SHORT = 60, 8
"""Words of a text prompt; the number of tokens depends on the tokenizer."""


def deployment(identifier: str) -> Deployment:
    """Return a declared deployment with synthetic weights."""
    return load_registry().with_weights("synthetic").deployment(identifier)


class Ours:
    """A loaded deployment; a context manager that ends its worker.

    ``context`` tokens stand in for the declared ones where the peer has another context.
    """

    def __init__(self, chosen: str | Deployment, *, python: str = "", context: int = 0) -> None:
        self.deployment = deployment(chosen) if isinstance(chosen, str) else chosen
        random = answers_at_random(self.deployment)
        self.folder = ready(self.deployment) if random else Path(self.deployment.source.path)
        request = replace(load_request(self.deployment), path=str(self.folder))
        request = replace(request, context=context or request.context)
        self.worker = Worker(**({"python": python} if python else {}))
        try:
            self.load_report = self.worker.load(request, deadline_s=DEADLINE_S)
        except BaseException:
            self.worker.close()
            raise

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        self.worker.close()

    def ask(self, number: int, tokens: int, words: int = SHORT, **more: Any) -> Generation:
        """Answer the prompt of that number, exactly ``tokens`` tokens."""
        message = Message("user", (Part("text", prompt(number, words)),))
        request = GenerateRequest((message,), max_tokens=tokens, fixed_length=True, **more)
        return self.worker.generate(request, deadline_s=DEADLINE_S)


def prompt(number: int, words: int) -> str:
    """Return a prompt; two of different numbers part at the first word, so nothing is cached."""
    return f"{number % 10} " + " ".join(str((number + word) % 10) for word in range(words))
