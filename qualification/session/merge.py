"""Merges the runs of several pytest-xdist processes, which test canaries side by side, into one.

Each process has a session of its own and a part of the models; the process that started them
judges and stores the merged run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from pydantic import TypeAdapter

from qualification.core.declarations import Deployment, Tier
from qualification.core.protocol import LoadReport, to_json
from qualification.core.results import Check, Condition, Session, Trial
from qualification.session.journal import Journal, Run


@dataclasses.dataclass(frozen=True)
class _Part:
    record: Session
    deployments: tuple[str, ...]
    trials: tuple[Trial, ...]
    checks: tuple[Check, ...]
    load_reports: dict[str, LoadReport]
    does_not_fit: dict[str, str]
    fixed_bugs: tuple[str, ...]


_PART = TypeAdapter(_Part)


def parallel_condition(processes: int) -> Condition:
    """The condition that makes every figure unfit: the processes shared the machine."""
    return Condition(
        "parallel", f"{processes} processes at once", False, "for figures run without -n"
    )


def packed(run: Run) -> str:
    """The run of one process as JSON."""
    journal = run.journal
    part = _Part(
        run.record,
        tuple(run.deployments),
        journal.trials,
        tuple(journal.checks),
        journal.load_reports,
        journal.does_not_fit,
        tuple(journal.fixed_bugs),
    )
    return json.dumps(to_json(part))


def merged(texts: Sequence[str], deployments: Sequence[Deployment], tier: Tier | None) -> Run:
    """One run made of all parts, its deployments in the order of ``deployments``, the registry's.

    The first part's record stands for all: the same machine, environment and selection. A
    condition that was unfit in any part is unfit.
    """
    parts = sorted(
        (_PART.validate_python(json.loads(text), strict=False) for text in texts),
        key=lambda part: part.record.started,
    )
    journal = Journal()
    conditions: dict[str, Condition] = {}
    tried: set[str] = set()
    for part in parts:
        journal.add(*part.trials)
        journal.checks += part.checks
        journal.load_reports |= part.load_reports
        journal.does_not_fit |= part.does_not_fit
        journal.fixed_bugs += part.fixed_bugs
        tried |= set(part.deployments)
        for condition in part.record.conditions:
            if condition.name not in conditions or not condition.fit:
                conditions[condition.name] = condition
    record = dataclasses.replace(parts[0].record, conditions=tuple(conditions.values()))
    in_order = {
        deployment.identifier: deployment
        for deployment in deployments
        if deployment.identifier in tried
    }
    return Run(record, tier, journal, in_order)
