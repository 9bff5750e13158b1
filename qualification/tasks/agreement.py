"""Whether two deployments of a model answer alike. Pure functions of their answers.

Two deployments of the same precision must give the same tokens, because the logit margins of a
trained model are wider than rounding errors. A quantised model is a different model: only its
accuracy can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.protocol import Generation

LOSS_LIMIT = 0.02
"""Share of correct answers that quantisation may cost."""

_Z = 1.645  # one-sided 95 % of the normal distribution
_PRECISIONS = {
    "f32": "f32",
    "fp32": "f32",
    "float32": "f32",
    "f16": "f16",
    "fp16": "f16",
    "float16": "f16",
    "bf16": "bf16",
    "bfloat16": "bf16",
}


def precision(quantisation: str) -> str:
    """Return ``f32``, ``f16`` or ``bf16``; '' for quantised weights."""
    return _PRECISIONS.get(quantisation.lower(), "")


@dataclass(frozen=True)
class Divergence:
    """Where two greedy answers diverge: ``token`` is the index of the first different token."""

    token: int
    ours: Generation
    theirs: Generation

    def sentence(self, question: str, our_name: str, their_name: str) -> str:
        """Name the question, the token, and both texts with their logit margins at that token."""
        return (
            f"{question!r} first differs at token {self.token}: "
            f"{self._text(self.ours)} from {our_name}, {self._text(self.theirs)} from {their_name}"
        )

    def _text(self, generation: Generation) -> str:
        margin = "not known"
        if self.token < len(generation.margins):
            margin = f"{generation.margins[self.token]:.3g}"
        return f"{generation.text.strip()!r} (margin {margin})"


def difference(ours: Generation, theirs: Generation) -> Divergence | None:
    """Return where the token ids diverge, None for equal answers.

    If one answer is a prefix of the other, they diverge at its end.
    """
    if ours.token_ids == theirs.token_ids:
        return None
    pairs = zip(ours.token_ids, theirs.token_ids, strict=False)
    shorter = min(len(ours.token_ids), len(theirs.token_ids))
    token = next((index for index, (our, their) in enumerate(pairs) if our != their), shorter)
    return Divergence(token, ours, theirs)


def loses_too_much(full: Sequence[bool], quantised: Sequence[bool]) -> bool:
    """Whether quantisation certainly costs more than :data:`LOSS_LIMIT` of the correct answers.

    ``full[i]`` and ``quantised[i]`` say whether question *i* was answered correctly. Only questions
    on which the two differ count (McNemar). The loss must exceed the limit at one-sided 95 %
    (normal approximation), because a few questions cannot show a difference of two points.

    Source: Q. McNemar, Psychometrika 12 (1947), 153-157.
    """
    pairs = list(zip(full, quantised, strict=True))
    lost = sum(before and not after for before, after in pairs)
    gained = sum(after and not before for before, after in pairs)
    return lost - gained - _Z * math.sqrt(lost + gained) > LOSS_LIMIT * len(pairs)
