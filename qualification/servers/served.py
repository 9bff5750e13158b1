"""What a user's server is and serves: its program, base URL, key, and models.

It is identified first, without a key. Its models are then listed without one, and with the user's
only where the server asks for it, at the address that the user gave.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qualification.servers.client import KEY, client
from qualification.servers.identity import DEADLINE_S, Identity, identified, root_of

Ask = Callable[[Callable[[], Any]], Any]
"""Calls a request, perhaps again."""


@dataclass(frozen=True)
class Served:
    """``address`` is the base URL of its API; ``has_key``: it has asked for the user's key."""

    address: str
    has_key: bool
    identity: Identity
    models: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model that is meant where none is named: the only one listed, or loaded; or ''."""
        names = self.models
        if len(names) != 1:
            names = tuple(name for name in self.identity.loaded if name in names)
        return names[0] if len(names) == 1 else ""


def served(
    address: str,
    model: str = "",
    ask: Ask = lambda request: request(),
    timeout_s: float | None = None,
) -> Served:
    """Ask what is at an address; the base is the address as given, or with the ``/v1`` it lacks.

    A ``model`` that is named need not be listed. Raises an error of openai's, or one of a reply
    that is no list (AttributeError, TypeError, ValueError), where no list is to be had.
    """
    import openai

    identity, root = identified(address, timeout_s or DEADLINE_S), root_of(address)
    bases = [address, f"{address}/v1", f"{root}/v1"]
    if root == address:
        bases = [*bases[1:], address]
    refusal: Exception | None = None
    for base in dict.fromkeys(bases):
        try:
            has_key, models = _listed(base, ask, timeout_s)
        except (
            openai.AuthenticationError,
            openai.PermissionDeniedError,
            openai.APIConnectionError,
        ):
            raise
        except (openai.OpenAIError, AttributeError, TypeError, ValueError) as error:
            refusal = refusal or error
            continue
        if has_key and not identity.program:
            identity = identified(address, has_key=True)
        return Served(base, has_key, identity, (model,) if model else models)
    if model:
        return Served(bases[0], has_key=False, identity=identity, models=(model,))
    assert refusal is not None
    raise refusal


def only_model(url: str) -> str:
    """The model that is meant where none is named, asked before a run for a deployment's name.

    '' where it cannot be told: the load that follows says why.
    """
    try:
        return served(url.rstrip("/"), timeout_s=DEADLINE_S).model
    except Exception:  # for any of a foreign server's reasons, or no URL
        return ""


def _listed(base: str, ask: Ask, timeout_s: float | None) -> tuple[bool, tuple[str, ...]]:
    """Whether it takes a key, and the names that it lists."""
    import openai

    def listed(*, has_key: bool) -> tuple[str, ...]:
        with client(base, timeout_s=timeout_s, has_key=has_key) as api:
            names = [model.id for model in ask(api.models.list).data]
        return tuple(name for name in names if isinstance(name, str))

    try:
        return False, listed(has_key=False)
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        if not os.environ.get(KEY):
            raise
    return True, listed(has_key=True)
