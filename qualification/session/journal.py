"""What one run has observed so far, in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from qualification.core.declarations import Deployment, Tier
from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Session, Trial


@dataclasses.dataclass
class Journal:
    """Trials, checks and load reports, in order; ``does_not_fit`` has the sum by deployment."""

    checks: list[Check] = dataclasses.field(default_factory=list)
    load_reports: dict[str, LoadReport] = dataclasses.field(default_factory=dict)
    does_not_fit: dict[str, str] = dataclasses.field(default_factory=dict)
    fixed_bugs: list[str] = dataclasses.field(default_factory=list)
    """A sentence for each known bug that no longer fails."""
    answers: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """Deployment -> name -> what several tests judge and is asked for once, as plain JSON types."""
    on_answer: Callable[[str, str], None] = lambda _deployment, _name: None
    """Called with the deployment and the name of each answer that is kept."""
    _trials: list[Trial] = dataclasses.field(default_factory=list)
    _values: dict[tuple[str, str], list[float]] = dataclasses.field(default_factory=dict)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, in the order in which they were recorded."""
        return tuple(self._trials)

    def add(self, *trials: Trial) -> None:
        """Append trials."""
        for trial in trials:
            self._trials.append(trial)
            self._values.setdefault((trial.deployment, trial.metric), []).append(trial.value)

    def keep(self, deployment: str, name: str, value: Any) -> None:
        """An answer that needs not be asked for again, neither in this attempt nor in a later."""
        self.answers.setdefault(deployment, {})[name] = value
        self.on_answer(deployment, name)

    def kept(self, deployment: str, name: str) -> Any:
        """An answer that was kept, or None."""
        return self.answers.get(deployment, {}).get(name)

    def values(self, deployment: str, metric: str) -> tuple[float, ...]:
        """The values recorded so far for one metric of a deployment, by its identifier."""
        return tuple(self._values.get((deployment, metric), ()))


@dataclasses.dataclass
class Run:
    """One run's record, its journal, and the deployments that it tried."""

    record: Session
    tier: Tier | None
    journal: Journal
    deployments: dict[str, Deployment]
