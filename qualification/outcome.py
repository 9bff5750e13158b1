"""Ends a session: what the suites saw is judged, and kept."""

from __future__ import annotations

from pathlib import Path

from qualification.baseline import baseline_path, read_baseline
from qualification.judge import judge
from qualification.records import Results, Trial, Verdict
from qualification.session import QualificationSession
from qualification.store import Store


def conclude(
    session: QualificationSession, baselines: Path, results_url: str
) -> tuple[Verdict, ...]:
    """Judge every deployment of the session and keep the results ('none' keeps nothing)."""
    journal = session.journal
    verdicts = tuple(
        judge(
            deployment,
            session.tier,
            session.machine,
            [trial for trial in journal.trials if trial.deployment == identifier],
            [check for check in journal.checks if check.deployment == identifier],
            earlier_sessions(baselines, session.machine.tier, identifier),
            session.record.conditions,
            does_not_fit=journal.unfit.get(identifier, ""),
        )
        for identifier, deployment in session.deployments.items()
    )
    if results_url != "none":
        Store(results_url).keep(
            Results(
                session=session.record,
                verdicts=verdicts,
                trials=tuple(journal.trials),
                checks=tuple(journal.checks),
                load_reports=dict(journal.load_reports),
            )
        )
    return verdicts


def earlier_sessions(baselines: Path, tier: str, deployment: str) -> list[tuple[Trial, ...]]:
    """The raw trials of each accepted session of a deployment on a tier; [] without a baseline."""
    file = baseline_path(baselines, tier, deployment)
    if not file.exists():
        return []
    return [accepted.trials for accepted in read_baseline(file).sessions]
