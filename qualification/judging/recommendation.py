"""Which deployment to run on this machine: one rule, from figures that were measured. Pure.

The rule in words, with its reasons: docs/recommendation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qualification.core.format import bytes_text, rate_text
from qualification.judging.stats.estimators import ShareInterval
from qualification.models.suitability import SLOWEST_TPS

FAST_ACCURACY = 0.80
"""The lower bound of accuracy from which on the fastest is worth a line."""


@dataclass(frozen=True)
class Candidate:
    """A deployment with real weights, as the rule sees it; None for what was not measured.

    ``against`` are sentences on what is wrong with it, each with its way out; ``too_big`` is the
    sum where it does not fit; ``untried`` is why it was not measured.
    """

    name: str
    accuracy: ShareInterval | None = None
    decode_tps: float | None = None
    peak_bytes: float | None = None
    against: tuple[str, ...] = ()
    too_big: str = ""
    untried: str = ""


@dataclass(frozen=True)
class Recommendation:
    """The picks; ``tied`` are as accurate as the best, as far as their intervals tell.

    ``left_out`` has candidates that are neither picked from nor to be avoided, with the reason.
    """

    best: Candidate | None = None
    tied: tuple[Candidate, ...] = ()
    fast: Candidate | None = None
    smallest: Candidate | None = None
    avoid: tuple[Candidate, ...] = ()
    too_big: tuple[Candidate, ...] = ()
    left_out: tuple[tuple[Candidate, str], ...] = ()


def recommend(candidates: Sequence[Candidate], room_bytes: float) -> Recommendation:
    """The picks for a machine on which a model may take ``room_bytes`` beside everything else.

    Best: the highest lower bound of the accuracy, then the speed, then the smaller peak. Fast: the
    highest speed above :data:`FAST_ACCURACY`. Smallest: the least peak. Order and names change
    nothing but the pick between two that are equal in every figure.
    """
    fit = [candidate for candidate in candidates if not candidate.too_big]
    reasons = {candidate.name: _left_out(candidate, room_bytes) for candidate in fit}
    sound = [c for c in fit if not c.against and not reasons[c.name]]
    best = _first(sound, lambda c: (-_lower(c), -(c.decode_tps or 0.0), c.peak_bytes or 0.0))
    tied = [c for c in sound if best is not None and c is not best and _overlap(c, best)]
    accurate = [c for c in sound if _lower(c) >= FAST_ACCURACY]
    return Recommendation(
        best,
        tuple(sorted(tied, key=lambda c: (-_lower(c), c.name))),
        _first(accurate, lambda c: (-(c.decode_tps or 0.0), -_lower(c), c.peak_bytes or 0.0)),
        _first(sound, lambda c: (c.peak_bytes or 0.0, -_lower(c), -(c.decode_tps or 0.0))),
        tuple(sorted((c for c in fit if c.against), key=lambda c: c.name)),
        tuple(sorted((c for c in candidates if c.too_big), key=lambda c: c.name)),
        tuple(
            (c, reasons[c.name])
            for c in sorted(fit, key=lambda c: c.name)
            if not c.against and reasons[c.name]
        ),
    )


def _left_out(candidate: Candidate, room_bytes: float) -> str:
    """Why it cannot be picked although nothing is wrong with it; ''."""
    if candidate.untried:
        return candidate.untried
    figures = {
        "accuracy": candidate.accuracy,
        "speed": candidate.decode_tps,
        "peak memory": candidate.peak_bytes,
    }
    if missing := [name for name, figure in figures.items() if figure is None]:
        return f"{' and '.join(missing)} {'was' if len(missing) == 1 else 'were'} not measured"
    assert candidate.decode_tps is not None
    assert candidate.peak_bytes is not None
    if candidate.decode_tps < SLOWEST_TPS:
        return (
            f"{rate_text(candidate.decode_tps)} is slower than people read "
            f"({rate_text(SLOWEST_TPS)})"
        )
    if candidate.peak_bytes > room_bytes:
        return (
            f"its peak of {bytes_text(candidate.peak_bytes)} fits only with applications closed: "
            f"they leave {bytes_text(room_bytes)}"
        )
    return ""


def _first(
    candidates: Sequence[Candidate], key: Callable[[Candidate], tuple[float, ...]]
) -> Candidate | None:
    return min(candidates, key=lambda c: (*key(c), c.name), default=None)


def _lower(candidate: Candidate) -> float:
    return candidate.accuracy.lower if candidate.accuracy else 0.0


def _overlap(a: Candidate, b: Candidate) -> bool:
    assert a.accuracy is not None
    assert b.accuracy is not None
    return a.accuracy.upper >= b.accuracy.lower and b.accuracy.upper >= a.accuracy.lower
