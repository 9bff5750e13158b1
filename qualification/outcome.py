"""Ends a session: what the suites saw is judged, and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from qualification.baseline import baseline_path, read_baseline
from qualification.errors import BaselineError
from qualification.judge import judge
from qualification.records import Deployment, Finding, Results, Trial, Verdict
from qualification.session import QualificationSession
from qualification.store import Store


def conclude(session: QualificationSession, baselines: Path) -> tuple[Verdict, ...]:
    """One verdict for each deployment of the session."""
    return tuple(
        _verdict(session, deployment, baselines) for deployment in session.deployments.values()
    )


def keep(session: QualificationSession, verdicts: Sequence[Verdict], results_url: str) -> None:
    """Write the session to the results database ('none' keeps nothing); StoreError if it fails."""
    if results_url == "none":
        return
    journal = session.journal
    Store(results_url).keep(
        Results(
            session=session.record,
            verdicts=tuple(verdicts),
            trials=tuple(journal.trials),
            checks=tuple(journal.checks),
            load_reports=dict(journal.load_reports),
        )
    )


def _verdict(session: QualificationSession, deployment: Deployment, baselines: Path) -> Verdict:
    journal = session.journal
    identifier = deployment.identifier
    baseline: list[tuple[Trial, ...]] = []
    unreadable = ""
    try:
        file = baseline_path(baselines, session.machine.tier, identifier)
        if session.machine.tier and file.exists():
            baseline = [accepted.trials for accepted in read_baseline(file).sessions]
    except BaselineError as error:  # the run's results are not lost to a damaged file
        unreadable = f"The baseline cannot be read, so nothing is held against it: {error}."
    verdict = judge(
        deployment,
        session.tier,
        session.machine,
        [trial for trial in journal.trials if trial.deployment == identifier],
        [check for check in journal.checks if check.deployment == identifier],
        baseline,
        session.record.conditions,
        does_not_fit=journal.does_not_fit.get(identifier, ""),
    )
    if not unreadable:
        return verdict
    findings = (*verdict.findings, Finding("baseline", "fail", unreadable))
    return dataclasses.replace(verdict, name="failed", findings=findings)
