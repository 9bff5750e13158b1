"""Asks again where a server is busy or still loading, and without a field that it refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

_NOT_NOW = (429, 503)
_REFUSED = (400, 422)
_LONGEST_WAIT_S = 30.0
"""Between two tries, whatever a server asks for; the parent has the deadline of all of them."""

_OPTIONAL = (
    "seed",
    "stream_options",
    "ignore_eos",
    "min_tokens",
    "logprobs",
    "top_logprobs",
    "chat_template_kwargs",
    "enable_thinking",
    "reasoning_effort",
)
"""Fields without which an answer is one too."""

_Reply = TypeVar("_Reply")


class Patience:
    """What one server was found to refuse; ``refused`` are names of fields."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each field that is left out."""
        return tuple(f"the server refuses {name}: it is left out" for name in sorted(self.refused))

    def fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a request that the server takes, under the names by which it does."""
        accepted = {name: value for name, value in fields.items() if name not in self.refused}
        if "max_tokens" in self.refused and "max_tokens" in fields:
            accepted["max_completion_tokens"] = fields["max_tokens"]
        return accepted

    def ask(self, ask: Callable[[], _Reply]) -> _Reply:
        """The reply of ``ask()``; openai's error where asking again is of no use."""
        import openai

        wait_s = 0.5
        while True:
            try:
                return ask()
            except openai.APIStatusError as error:
                if error.status_code in _REFUSED and (name := self._newly_refused(error.message)):
                    self.refused.add(name)
                elif error.status_code in _NOT_NOW:
                    after = error.response.headers.get("retry-after", "")
                    pause_s = float(after) if after.isdigit() else wait_s
                    time.sleep(min(pause_s, _LONGEST_WAIT_S))
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                else:
                    raise

    def _newly_refused(self, message: str) -> str:
        """The field that a refusal names, if an answer needs none, or has it by another name."""
        renamed = ("max_tokens",) if "max_completion_tokens" in message else ()
        names = (*_OPTIONAL, *renamed)
        return next((n for n in names if n in message and n not in self.refused), "")
