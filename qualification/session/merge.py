"""Runs of canaries on several processes of pytest-xdist, put together into one.

Each process has a session of its own and a part of the models; the process that started them
judges and keeps what all of them saw.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

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
    no_longer: tuple[str, ...]


_PART = TypeAdapter(_Part)


def condition(processes: int) -> Condition:
    """What makes every figure of such a run unfit: the machine was not its own."""
    return Condition(
        "parallel", f"{processes} processes at once", False, "for figures run without -n"
    )


def packed(run: Run) -> str:
    """A process's part as JSON."""
    journal = run.journal
    part = _Part(
        run.record,
        tuple(run.deployments),
        tuple(journal.trials),
        tuple(journal.checks),
        journal.load_reports,
        journal.does_not_fit,
        tuple(journal.no_longer),
    )
    return json.dumps(to_json(part))


def merged(texts: Sequence[str], deployments: Sequence[Deployment], tier: Tier | None) -> Run:
    """One run of all parts, in the order of ``deployments``, the registry's.

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
        journal.trials += part.trials
        journal.checks += part.checks
        journal.load_reports |= part.load_reports
        journal.does_not_fit |= part.does_not_fit
        journal.no_longer += part.no_longer
        tried |= set(part.deployments)
        for one in part.record.conditions:
            if one.name not in conditions or not one.fit:
                conditions[one.name] = one
    record = dataclasses.replace(parts[0].record, conditions=tuple(conditions.values()))
    known = {one.identifier: one for one in deployments if one.identifier in tried}
    return Run(record, tier, journal, known)


def parts_of(outputs: Sequence[dict[str, Any]]) -> list[str]:
    """The packed parts among the outputs of pytest-xdist's processes."""
    return [output[KEY] for output in outputs if KEY in output]


KEY = "qualification"
"""Of a process's output."""
