"""Verdicts: measurements compared with budgets, the roofline and earlier sessions. Pure.

The name of a verdict is the first of these that applies:

1. ``does_not_fit``  predicted not to fit, so it was never loaded;
2. ``failed``        a check failed, a budget is broken, a metric has no valid number, or a figure
                     is physically impossible; wrong answers fail on any machine in any state;
3. ``unfit``         the machine was in no state for timing, by its conditions or by its own speed
                     at the end against the beginning, so nothing is said about speed;
4. ``inconclusive``  a stored baseline makes it suspect or cannot tell, or nothing was measured;
5. ``no_baseline``   budgets hold, and there is no earlier session to compare with;
6. ``pass``          budgets hold, and every metric compared is consistent with the baseline.

``regressed`` never comes from here: it takes the interleaved comparison of two environments.

Timing that breaks a budget while a condition is unfit is ``unknown``, not ``fail``. Every finding
is one sentence with figures and units; a model's answer is never quoted.

Source: docs/judging.md ("The verdict on a session").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from qualification.core.declarations import Deployment, KnownBug, Tier
from qualification.core.format import percent_text, ratio_text
from qualification.core.metric_types import MAY_BE_ZERO
from qualification.core.metrics import BASELINE_LIMITS, METRICS
from qualification.core.protocol import LoadReport
from qualification.core.results import (
    Advice,
    Check,
    Condition,
    Environment,
    Finding,
    Machine,
    Trial,
    Verdict,
    VerdictName,
)
from qualification.judging.budgets import (
    check_findings,
    condition_findings,
    consistency_findings,
    device_memory_findings,
    drift_conditions,
    load_findings,
    memory_findings,
    only_asked,
    speed_findings,
    untimed_findings,
)
from qualification.judging.library_versions import difference
from qualification.judging.reference_sessions import (
    Reference,
    StoredMetric,
    Suites,
    comparable,
    describe,
    interval_units,
    may_be_same_weights,
    other_weights,
    unknown_revisions,
)
from qualification.judging.stats.estimators import baseline_interval, sessions_to_decide, standing
from qualification.models.roofline import roofline

ACCURACY_MARGIN = 0.02
"""Source: docs/judging.md ("Limits of each metric")."""

_MEMORY = ("peak_memory_bytes", "peak_device_bytes")

_LEAST, _MOST = 1e-9, 1e18
"""A number outside of these is no measurement of anything, in the units of METRICS."""


class ReferenceSession(Protocol):
    """A stored session of the same tier, such as a baseline's."""

    @property
    def trials(self) -> Sequence[Trial]:
        """All of its repetitions."""

    @property
    def machine(self) -> Machine:
        """The machine that it ran on."""

    @property
    def environment(self) -> Environment:
        """The libraries that it ran with."""

    @property
    def revision(self) -> str:
        """That of the weights that it measured; '' where it is not known."""


@dataclass(frozen=True)
class Evidence:
    """Everything that one session gathered, of any deployments.

    With its ``environment``, findings name the library versions that differ from a baseline's.
    Repetitions of one metric in one suite are taken to be of one and the same request. A known bug
    that showed is explained with its workaround if it is among the declared ``bugs``.
    ``load_reports`` are by deployment.
    """

    trials: Sequence[Trial] = ()
    checks: Sequence[Check] = ()
    conditions: Sequence[Condition] = ()
    environment: Environment | None = None
    bugs: Sequence[KnownBug] = ()
    load_reports: Mapping[str, LoadReport] = field(default_factory=dict)


def judge(
    deployment: Deployment,
    tier: Tier | None,
    machine: Machine,
    evidence: Evidence,
    baseline: Sequence[ReferenceSession] = (),
    does_not_fit: str = "",
) -> Verdict:
    """The verdict on one deployment after one session; never raises.

    Trials and checks of other deployments are ignored, in ``evidence`` and in the earlier sessions
    of the ``baseline``, which are of the same tier. Those of other weights, by the revision in the
    load report, are not compared. ``does_not_fit`` is the sentence of a prediction, '' where there
    is none.
    """
    identifier = deployment.identifier
    if does_not_fit:
        finding = Finding("peak_memory_bytes", "fail", _sentence(does_not_fit))
        return Verdict(identifier, "does_not_fit", "does not fit", (finding,))
    checks = [check for check in evidence.checks if check.deployment == identifier]
    values, rejected = _accept(evidence.trials, identifier)
    conditions = (
        *evidence.conditions,
        *drift_conditions(deployment, _all(values, "token_drift"), _all(values, "sentinel_drift")),
    )
    fit = all(condition.fit for condition in conditions)
    findings = [
        *check_findings(checks, fit, evidence.bugs),
        *condition_findings(conditions),
        *rejected,
    ]
    measured = bool(values) or any(check.outcome != "skipped" for check in checks)
    compared: list[Finding] = []
    if measured:
        report = evidence.load_reports.get(identifier)
        read, revision = (report.decode_bytes, report.revision) if report else (0, "")
        budgets = _budget_findings(deployment, tier, machine, values, fit, read)
        findings += only_asked(budgets, checks)
        same = [s for s in baseline if may_be_same_weights(s.revision, revision)]
        if baseline and not same:
            sentence = other_weights([session.revision for session in baseline], revision)
            findings.append(Finding("baseline", "warn", sentence))
        stored = [(session, _accept(session.trials, identifier)[0]) for session in same]
        compared = _compare(
            deployment, machine, evidence.environment, values, stored, fit, revision
        )
        findings += compared
    else:
        findings.append(Finding("measured", "unknown", "Nothing was measured."))
    name = _name(findings, compared, fit, measured)
    advice = _advice(deployment, tier, name, findings, checks, measured)
    return Verdict(identifier, name, advice, tuple(findings))


def _name(
    findings: Sequence[Finding], compared: Sequence[Finding], fit: bool, measured: bool
) -> VerdictName:
    if any(finding.status == "fail" for finding in findings):
        return "failed"
    if not measured:
        return "inconclusive"
    if not fit:
        return "unfit"
    if any(finding.status != "pass" for finding in compared):
        return "inconclusive"
    return "pass" if compared else "no_baseline"


def _advice(
    deployment: Deployment,
    tier: Tier | None,
    name: VerdictName,
    findings: Sequence[Finding],
    checks: Sequence[Check],
    measured: bool,
) -> Advice:
    """The advice to a reader who wants to use the model.

    Recommended takes real weights, a tier that is meant for it, a known budget that holds on every
    count, and a check that passed. A canary only shows that the software works, and random weights
    only size and speed: usable at best. Timing in an unfit state leaves it untested.
    """
    if not measured:
        return "untested"
    if name == "failed":
        return "not recommended"
    if deployment.source.weights == "canary":
        return "usable"
    if tier is not None and not tier.vision and "vision" in deployment.model.capabilities:
        return "not recommended"
    if name == "unfit":
        return "untested"
    passed = {finding.metric for finding in findings if finding.status == "pass"}
    doubted = {finding.metric for finding in findings if finding.status != "pass"}
    essential = {"load_s", "peak_memory_bytes", "decode_tps", "consistency"}
    if (
        deployment.source.weights == "hub"
        and tier is not None
        and any(check.outcome == "passed" for check in checks)
        and name in ("pass", "no_baseline")
        and essential <= passed
        and not (essential | {"known_bug", "peak_device_bytes"}) & doubted
    ):
        return "recommended"
    return "usable"


# --------------------------------------------------------------------------- numbers

_Values = dict[str, Suites]
"""Metric -> suite -> valid numbers, in the order they were measured."""


def _accept(trials: Sequence[Trial], deployment: str) -> tuple[_Values, list[Finding]]:
    """A deployment's valid numbers, and a finding for each metric with rejected ones."""
    values: _Values = {}
    rejected: dict[str, int] = {}
    for trial in trials:
        if trial.deployment != deployment or trial.metric not in METRICS:
            continue
        if is_valid(trial):
            suites = values.setdefault(trial.metric, {})
            suites.setdefault(trial.suite, []).append(float(trial.value))
        else:
            rejected[trial.metric] = rejected.get(trial.metric, 0) + 1
    findings = []
    for metric, count in rejected.items():
        accepted = len(_all(values, metric))
        valid = MAY_BE_ZERO.get(METRICS[metric].unit, "a positive finite number")
        total = count + accepted
        text = f"{count} of {total} repetitions of {metric} gave no measurement ({valid})."
        findings.append(Finding(metric, "warn" if accepted else "fail", text))
    return values, findings


def is_valid(trial: Trial) -> bool:
    """Whether a trial is a measurement at all: finite, positive, a share where it is one.

    A growth may be zero or negative.
    """
    try:
        value = float(trial.value)
    except (TypeError, ValueError, OverflowError):
        return False
    unit = METRICS[trial.metric].unit if trial.metric in METRICS else ""
    if unit == "share":
        return 0 <= value <= 1
    if unit == "count":
        return 0 <= value <= _MOST
    if unit == "B/request":
        return abs(value) <= _MOST
    return _LEAST <= value <= _MOST


def _all(values: _Values, metric: str) -> list[float]:
    return [value for suite in values.get(metric, {}).values() for value in suite]


def _budget_findings(
    deployment: Deployment,
    tier: Tier | None,
    machine: Machine,
    values: _Values,
    fit: bool,
    decode_bytes: int,
) -> list[Finding]:
    speeds = _all(values, "decode_tps")
    findings = [
        *load_findings(deployment, tier, _all(values, "load_s"), fit),
        *memory_findings(tier, machine, _all(values, "peak_memory_bytes")),
        *device_memory_findings(tier, machine, _all(values, "peak_device_bytes")),
        *speed_findings(deployment, tier, machine, speeds, fit, decode_bytes),
        *untimed_findings({metric: _all(values, metric) for metric in values}),
    ]
    if roofline(deployment, machine, decode_bytes).rejects(speeds):
        return findings  # how much a speed varies that is none says nothing
    return [*findings, *consistency_findings(deployment, values.get("decode_tps", {}), fit)]


# --------------------------------------------------------------------------- stored baseline


def _compare(
    deployment: Deployment,
    machine: Machine,
    environment: Environment | None,
    values: _Values,
    stored: Sequence[tuple[ReferenceSession, _Values]],
    fit: bool,
    revision: str,
) -> list[Finding]:
    """A finding for each metric that this session and an earlier one both measured.

    Memory is compared in any state of the machine, timing only in a fit one. Answers do not depend
    on the machine: accuracy is compared with all sessions of the tier.
    """
    findings = []
    for metric in (*BASELINE_LIMITS, "accuracy"):
        limits = BASELINE_LIMITS.get(metric)
        enough = sessions_to_decide(limits.margin) if limits else 0
        candidates = [
            StoredMetric(
                session.machine.identifier,
                session.environment,
                numbers.get(metric, {}),
                session.revision,
            )
            for session, numbers in stored
        ]
        current, references = comparable(
            values.get(metric, {}), candidates, machine.identifier, enough
        )
        if not current:
            continue
        against = describe(references, machine.identifier)
        against += unknown_revisions(references, revision)
        if environment is not None:
            earlier = [reference.environment for reference in references]
            if changes := difference(deployment.source.engine, earlier, environment):
                against += f" with {changes}"
        if limits is None:
            findings.append(_compare_accuracy(current, references, against))
        elif fit or metric in _MEMORY:
            findings.append(
                _compare_metric(metric, current, references, machine.identifier, against)
            )
    return findings


def _compare_metric(
    metric: str,
    current: Sequence[float],
    references: Sequence[Reference],
    machine: str,
    against: str,
) -> Finding:
    limits = BASELINE_LIMITS[metric]
    unit, stored = interval_units(references, machine)
    interval = baseline_interval(current, stored, METRICS[metric].better)
    conclusion = standing(interval, limits.noticeable, limits.margin)
    factor = f"factor {_factor(interval.difference)}"
    span = f"{_factor(interval.lower)} to {_factor(interval.upper)}, over 1 is worse"
    label = _capitalised(METRICS[metric].label)
    text = f"{label} against {against}: {factor} ({span}); the margin is {1 + limits.margin:.2f}"
    if conclusion == "consistent":
        return Finding(metric, "pass", f"{text}, so it is consistent.")
    if conclusion == "suspect":
        return Finding(
            metric,
            "suspect",
            f"{text}, so it is suspect: compare the two environments, interleaved.",
        )
    needed = sessions_to_decide(limits.margin)
    noun = "earlier sessions" if unit == "session" else "sessions of this machine, or machines,"
    more = f"; it takes {needed} {noun} to decide" if needed > interval.sessions else ""
    return Finding(metric, "unknown", f"{text}, so these sessions cannot tell{more}.")


def _factor(difference: float) -> str:
    return ratio_text(math.exp(difference))  # of valid numbers, so at most 1e27


def _compare_accuracy(
    current: Sequence[float], references: Sequence[Reference], against: str
) -> Finding:
    """In points, on the same items: a drop under the margin is consistent."""
    now = math.fsum(current) / len(current)
    means = [math.fsum(session.values) / len(session.values) for session in references]
    before = math.fsum(means) / len(means)
    text = f"Accuracy is {percent_text(now)} against {percent_text(before)} in {against}"
    if before - now < ACCURACY_MARGIN:
        return Finding("accuracy", "pass", f"{text}, so it is consistent.")
    points = f"a drop of {ACCURACY_MARGIN * 100:.0f} points or more is suspect"
    return Finding("accuracy", "suspect", f"{text}: {points}.")


def _sentence(text: str) -> str:
    return f"{_capitalised(text.strip()).removesuffix('.')}."


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
