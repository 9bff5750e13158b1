"""Whether two deployments of a model answer alike. Pure functions of what they answered.

Two of the same precision must give the same tokens, because a trained model's margins are wider
than rounding; a quantised one is another model, so only how often it is right compares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.protocol import Generation

LOSS_LIMIT = 0.02
"""Share of right answers that quantisation may cost."""

_Z = 1.645  # one-sided 95 % of the normal distribution
_PRECISIONS = {
    "f32": "f32", "fp32": "f32", "float32": "f32",
    "f16": "f16", "fp16": "f16", "float16": "f16",
    "bf16": "bf16", "bfloat16": "bf16",
}  # fmt: skip


def precision(quantisation: str) -> str:
    """Return ``f32``, ``f16`` or ``bf16``; '' for weights that are quantised in some way."""
    return _PRECISIONS.get(quantisation.lower(), "")


@dataclass(frozen=True)
class Difference:
    """Where two greedy answers part: the number of the first token that is not the same."""

    token: int
    ours: Generation
    theirs: Generation

    def sentence(self, question: str, our_name: str, their_name: str) -> str:
        """Name the question, the token, and each side's text with its margin there."""
        return (
            f"{question!r} first differs at token {self.token}: "
            f"{self._said(self.ours)} from {our_name}, {self._said(self.theirs)} from {their_name}"
        )

    def _said(self, generation: Generation) -> str:
        margin = "not known"
        if self.token < len(generation.margins):
            margin = f"{generation.margins[self.token]:.3g}"
        return f"{generation.text.strip()!r} (margin {margin})"


def difference(ours: Generation, theirs: Generation) -> Difference | None:
    """Return where the token ids part, None where both are the same to the end.

    An answer that goes on where the other one ends parts from it there.
    """
    if ours.token_ids == theirs.token_ids:
        return None
    pairs = zip(ours.token_ids, theirs.token_ids, strict=False)
    shorter = min(len(ours.token_ids), len(theirs.token_ids))
    token = next((n for n, (one, other) in enumerate(pairs) if one != other), shorter)
    return Difference(token, ours, theirs)


def loses_too_much(full: Sequence[bool], quantised: Sequence[bool]) -> bool:
    """Say whether quantisation surely costs more than :data:`LOSS_LIMIT` of the right answers.

    ``full[i]`` and ``quantised[i]`` are of one question. Only questions that one of the two has
    right count against each other (McNemar); the share lost must be beyond the limit at one-sided
    95 % (normal approximation), because a few questions cannot show two points.

    Source: Q. McNemar, Psychometrika 12 (1947), 153-157.
    """
    pairs = list(zip(full, quantised, strict=True))
    lost = sum(one and not other for one, other in pairs)
    gained = sum(other and not one for one, other in pairs)
    return lost - gained - _Z * math.sqrt(lost + gained) > LOSS_LIMIT * len(pairs)
