"""What one run saw so far, in memory."""

from __future__ import annotations

import dataclasses

from qualification.core.declarations import Deployment, Tier
from qualification.core.protocol import (
    LoadReport,
)
from qualification.core.results import Check, Session, Trial


@dataclasses.dataclass
class Journal:
    """What the suites saw so far, in order."""

    trials: list[Trial] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)
    load_reports: dict[str, LoadReport] = dataclasses.field(default_factory=dict)
    does_not_fit: dict[str, str] = dataclasses.field(default_factory=dict)
    no_longer: list[str] = dataclasses.field(default_factory=list)
    """A sentence for each known bug that no longer fails."""


@dataclasses.dataclass
class Run:
    """What one run found: its record, its journal, and the deployments that it tried."""

    record: Session
    tier: Tier | None
    journal: Journal
    deployments: dict[str, Deployment]
