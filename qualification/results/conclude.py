"""Ends a session: what the suites gathered is judged and stored."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from qualification.core.declarations import Deployment, KnownBug
from qualification.core.errors import BaselineError
from qualification.core.results import Answer, Condition, Finding, Results, Verdict
from qualification.core.text import disarm
from qualification.judging.baselines.storage import AcceptedSession, baseline_path, read_baseline
from qualification.judging.verdicts import Evidence, judge
from qualification.results.store import Store
from qualification.session.journal import Journal, Run


def conclude(run: Run, baselines: Path, bugs: Sequence[KnownBug] = ()) -> tuple[Verdict, ...]:
    """One verdict for each deployment of the session; ``bugs`` are the declared ones."""
    return tuple(
        _verdict(run, deployment, baselines, bugs) for deployment in run.deployments.values()
    )


def keep(run: Run, verdicts: Sequence[Verdict], results_url: str, *, resumed: bool = False) -> None:
    """Write the session to the results database ('none': nowhere); StoreError if that fails."""
    if results_url != "none":
        Store(results_url).keep(results_of(run, verdicts), resumed=resumed)


def results_of(run: Run, verdicts: Sequence[Verdict]) -> Results:
    """A run as the store keeps it and the documents show it."""
    journal = run.journal
    return Results(
        session=run.record,
        verdicts=tuple(verdicts),
        trials=journal.trials,
        checks=tuple(journal.checks),
        load_reports=dict(journal.load_reports),
        answers=tuple(_answers(journal)),
    )


_LONGEST = 2_000
"""Characters of an answer that are stored."""


def _answers(journal: Journal) -> Iterator[Answer]:
    """The answers to the questions of each skill, as the suites kept them (``colour 3``)."""
    for deployment, answers in journal.answers.items():
        for name, plain in answers.items():
            if not re.fullmatch(r"[a-z]+ \d+", name) or not isinstance(plain, dict):
                continue
            with contextlib.suppress(KeyError, TypeError):  # of another release: it has no such key
                question = plain["question"]
                yield Answer(
                    deployment,
                    question["identifier"],
                    question["skill"],
                    question["prompt"],
                    question["answer"],
                    disarm(plain["generation"]["text"].strip(), _LONGEST),
                    plain["is_correct"],
                )


def _verdict(
    run: Run, deployment: Deployment, baselines: Path, bugs: Sequence[KnownBug]
) -> Verdict:
    journal, machine = run.journal, run.record.machine
    baseline: tuple[AcceptedSession, ...] = ()
    unreadable = ""
    try:
        file = baseline_path(baselines, machine.tier, deployment.identifier)
        if machine.tier and file.exists():
            baseline = read_baseline(file).sessions
    except BaselineError as error:  # a damaged file must not cost the run its results
        unreadable = f"The baseline cannot be read, so nothing is compared with it: {error}."
    record = run.record
    conditions = record.conditions
    if count := record.untried.get(deployment.identifier, 0):
        untried = Condition("tests", f"{count} of its tests were not tried", fit=False)
        conditions = (*conditions, untried)
    verdict = judge(
        deployment,
        run.tier,
        machine,
        Evidence(
            journal.trials,
            journal.checks,
            conditions,
            record.environment,
            bugs,
            journal.load_reports,
        ),
        baseline,
        journal.does_not_fit.get(deployment.identifier, ""),
    )
    if not unreadable:
        return verdict
    findings = (*verdict.findings, Finding("baseline", "fail", unreadable))
    return dataclasses.replace(verdict, name="failed", findings=findings)
