"""The deployment that is asked about, and everything that an answer may be taken from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qualification.core.declarations import Deployment
from qualification.core.format import percent_text
from qualification.core.results import Machine, Results
from qualification.documents.figures import Figures
from qualification.documents.model import Inline
from qualification.documents.sections.candidates import accuracy_interval, bounds_text
from qualification.machine.names import describe
from qualification.machine.tiers import tier_of
from qualification.models.memory_fit import Allowance, machine_allowance
from qualification.models.registry import Registry
from qualification.results.rows import Row


@dataclass(frozen=True)
class Answer:
    """A question and its answer: one paragraph, or several points."""

    question: str
    points: tuple[Inline, ...]


@dataclass(frozen=True)
class Subject:
    """``row`` and ``deployment`` are those of the pick, ``table`` has every row of the session."""

    row: Row
    deployment: Deployment
    table: Sequence[Row]
    results: Results
    registry: Registry

    @property
    def machine(self) -> Machine:
        """The machine that was measured."""
        return self.results.session.machine

    @property
    def allowance(self) -> Allowance:
        """What models may take of its memory."""
        return machine_allowance(self.machine, tier_of(self.machine, self.registry.tiers))

    @property
    def figures(self) -> Figures:
        """Of its session."""
        session = self.results.session
        return Figures(f"session {session.identifier}, {describe(session.machine)}")

    def others(self) -> Iterator[tuple[Row, Deployment]]:
        """The other measured deployments with real weights that are still declared."""
        declared = {d.identifier: d for d in self.registry.deployments()}
        for row in self.table:
            deployment = declared.get(row.identifier)
            is_real = not (row.is_canary or row.is_synthetic)
            if deployment is not None and is_real and row.identifier != self.row.identifier:
                yield row, deployment


def accuracy_text(row: Row) -> str:
    """``94% (88–97 % of 100 questions)``; '' where it was not measured, or not of how many."""
    interval = accuracy_interval(row)
    if interval is None:
        return ""
    return f"{percent_text(interval.mean, digits=0)} ({bounds_text(interval)})"
