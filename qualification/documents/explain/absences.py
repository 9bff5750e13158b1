"""Why a deployment has no figure of a metric, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qualification.core.text import one_line
from qualification.documents.explain.definitions import Recorder, definition
from qualification.documents.explain.derivation import RawTrial
from qualification.results.rows import Row

_LONGEST_DETAIL = 200


@dataclass(frozen=True)
class Missing:
    """Metrics without a figure for the same reason."""

    reason: str
    metrics: tuple[str, ...]


def missing(reasons: Mapping[str, str]) -> tuple[Missing, ...]:
    """Metric -> reason, by reason; in the order of the metrics."""
    metrics_of: dict[str, list[str]] = {}
    for metric, reason in reasons.items():
        metrics_of.setdefault(reason, []).append(metric)
    return tuple(Missing(reason, tuple(metrics)) for reason, metrics in metrics_of.items())


def short_names(metrics: Sequence[str]) -> list[str]:
    """The names; those that differ in the number of clients are one: ``wrong_{1,2}_clients``."""
    clients: dict[tuple[str, str], list[str]] = {}
    for metric in metrics:
        match = re.fullmatch(r"(.*_)(\d+)(_clients.*)", metric)
        before, number, after = match.groups() if match else (metric, "", "")
        clients.setdefault((before, after), []).append(number)
    return [
        before + (numbers[0] if len(numbers) == 1 else f"{{{','.join(numbers)}}}") + after
        for (before, after), numbers in clients.items()
    ]


def why_missing(metric: str, trials: Sequence[RawTrial], row: Row) -> str:
    """Why no trial of a metric is a measurement, or why there is none."""
    if trials:
        return f"none of {len(trials)} trials counts ({trials[0].rejection})"
    if row.verdict.name == "does_not_fit":
        return "predicted not to fit, so it was never loaded"
    meaning = definition(metric)
    if meaning is None:
        return "no test of the package that registers it recorded it"
    recorder = meaning.recorder
    checks = [check for check in row.checks if check.test.partition("[")[0] == recorder.test]
    if not checks:
        return _not_run(recorder, row)
    check = next((check for check in checks if check.outcome != "skipped"), checks[0])
    detail = one_line(check.detail, _LONGEST_DETAIL)
    if check.outcome == "skipped":
        return f"skipped: {detail}" if detail else f"{recorder.test} was skipped"
    if check.outcome in _VERBS:
        reason = f"{recorder.test} {_VERBS[check.outcome]}"
        return f"{reason}: {detail}" if detail else reason
    return meaning.absence or f"{recorder.test} passed and did not record it"


_VERBS = {
    "failed": "failed before it was recorded",
    "error": "could not run",
    "xfailed": "failed, as is known, before it was recorded",
}


def _not_run(recorder: Recorder, row: Row) -> str:
    if row.untried:
        return f"{row.untried} tests of it were selected and not tried"
    if recorder.option:
        return f"{recorder.test} is left out without pytest {recorder.option}"
    has_suite = any(check.suite == recorder.suite for check in row.checks)
    name = recorder.test if has_suite else f"the suite {recorder.suite}"
    return f"{name} did not run: it was not selected, or is not for this deployment"
