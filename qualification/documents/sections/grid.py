"""Canaries at a glance: a family in each row, a backend or server in each column."""

from __future__ import annotations

from collections.abc import Sequence

from qualification.documents.figures import word
from qualification.documents.model import Inline, Span, Table, columns, inline
from qualification.documents.sections.comparison import state_word
from qualification.models.registry import Registry
from qualification.results.rows import Row

_WORST = ("failed", "answers wrongly", "does not fit", "inconclusive", "unfit", "not tried")


def grid(rows: Sequence[Row], registry: Registry) -> Table:
    """The worst state of each family on each place; – where it is not declared."""
    declared = {deployment.identifier: deployment for deployment in registry.deployments()}
    states: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        deployment = declared.get(row.identifier)
        place = row.identifier.rpartition("@")[2]
        family = deployment.model.family if deployment else row.identifier.partition("@")[0]
        states.setdefault((family, place), []).append(state_word(row))
    families = list(dict.fromkeys(family for family, _ in states))
    places = list(dict.fromkeys(place for _, place in states))
    return Table(
        "What works: family and backend",
        columns("family", *places),
        tuple(
            (
                inline(family),
                *(_cell(states.get((family, place), [])) for place in places),
            )
            for family in families
        ),
    )


_SHORT = {"usable": "works", "answers wrongly": "wrong", "failed": "fails"}


def _cell(states: Sequence[str]) -> Inline:
    if not states:
        return inline(Span("–", "quiet"))
    worst = min(states, key=lambda name: _WORST.index(name) if name in _WORST else len(_WORST))
    label = _SHORT.get(worst, worst.replace("_", " "))
    tone = worst if worst != "answers wrongly" else "fails"
    return inline(word(tone, label))
