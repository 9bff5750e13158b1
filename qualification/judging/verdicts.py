"""Verdicts: what was measured, held against budgets, the roofline and earlier sessions. Pure.

The name of a verdict is the first of these that applies:

1. ``does_not_fit``  predicted not to fit, so it was never loaded;
2. ``failed``        a check failed, a budget is broken, a metric has no valid number, or a figure
                     is physically impossible; wrong answers fail on any machine in any state;
3. ``unfit``         the machine was in no state for timing, by its conditions or by its own speed
                     at the end against the beginning, so nothing is said about speed;
4. ``inconclusive``  a stored baseline makes it suspect or cannot tell, or nothing was measured;
5. ``no_baseline``   budgets hold, and there is no earlier session to compare with;
6. ``pass``          budgets hold, and every metric compared is consistent with the baseline.

``regressed`` is never said here: it takes the interleaved comparison of two environments.

Timing that breaks a budget while a condition is unfit is ``unknown``, not ``fail``. Every finding
is one sentence with figures and units; what a model said is never quoted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from qualification.core.declarations import Deployment, Tier
from qualification.core.metrics import BASELINE_LIMITS, METRICS
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
    load_limit_s,
    memory_findings,
    speed_findings,
)
from qualification.judging.library_versions import difference
from qualification.judging.reference_sessions import (
    Measured,
    Seen,
    Suites,
    describe,
    levels,
    shared,
)
from qualification.judging.stats.estimators import baseline_interval, sessions_to_decide, standing

__all__ = ["BASELINE_LIMITS", "Earlier", "is_valid", "judge", "load_limit_s"]


ACCURACY_MARGIN = 0.02

_NAMES = {
    "decode_tps": "Decoding speed",
    "prefill_tps": "Prefill speed",
    "ttft_s": "Time to first token",
    "load_s": "Load time",
    "peak_memory_bytes": "Peak memory",
    "peak_device_bytes": "Peak GPU memory",
}
_LEAST, _MOST = 1e-9, 1e18
"""A number outside of these is no measurement of anything, in the units of METRICS."""

_WANTED = {
    "share": "a share of 0 to 1",
    "count": "a number of 0 or more",
    "B/request": "a finite number",
}


class Earlier(Protocol):
    """A stored session of the same tier, such as a baseline's."""

    @property
    def trials(self) -> Sequence[Trial]:
        """All of its repetitions."""

    @property
    def machine(self) -> Machine:
        """Where it ran."""

    @property
    def environment(self) -> Environment:
        """With which libraries."""


def judge(
    deployment: Deployment,
    tier: Tier | None,
    machine: Machine,
    trials: Sequence[Trial],
    checks: Sequence[Check],
    baseline: Sequence[Earlier],
    conditions: Sequence[Condition],
    does_not_fit: str = "",
    environment: Environment | None = None,
) -> Verdict:
    """What is said of one deployment after one session; raises for no finite or other input.

    ``trials`` and ``checks`` are this session's, ``baseline`` the earlier sessions of the same
    tier; those of other deployments are ignored. ``does_not_fit`` is the sentence of a prediction,
    '' where there is none. With this session's ``environment`` a finding says which versions the
    baseline has where they differ. Repetitions of one metric in one suite are taken to be of one
    and the same request.
    """
    identifier = deployment.identifier
    if does_not_fit:
        finding = Finding("peak_memory_bytes", "fail", _sentence(does_not_fit))
        return Verdict(identifier, "does_not_fit", "does not fit", (finding,))
    own = [trial for trial in trials if trial.deployment == identifier]
    seen = [check for check in checks if check.deployment == identifier]
    values, rejected = _accept(own)
    conditions = (
        *conditions,
        *drift_conditions(deployment, _all(values, "token_drift"), _all(values, "sentinel_drift")),
    )
    fit = all(condition.fit for condition in conditions)
    findings = [*check_findings(seen, fit), *condition_findings(conditions), *rejected]
    measured = bool(values) or any(check.outcome != "skipped" for check in seen)
    compared: list[Finding] = []
    if measured:
        findings += load_findings(deployment, tier, _all(values, "load_s"), fit)
        findings += memory_findings(tier, machine, _all(values, "peak_memory_bytes"))
        findings += device_memory_findings(tier, machine, _all(values, "peak_device_bytes"))
        findings += speed_findings(deployment, tier, machine, _all(values, "decode_tps"), fit)
        findings += consistency_findings(deployment, values.get("decode_tps", {}), fit)
        stored = [
            (one, _accept([trial for trial in one.trials if trial.deployment == identifier])[0])
            for one in baseline
        ]
        compared = _compare(deployment, machine, environment, values, stored, fit)
        findings += compared
    else:
        findings.append(Finding("measured", "unknown", "Nothing was measured."))
    name = _name(findings, compared, fit, measured)
    advice = _advice(deployment, tier, name, findings, seen, measured)
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
    """What to tell a reader who wants to use the model.

    Recommended takes real weights, a tier that is meant for it, a known budget kept on every
    count, and a check that passed. A canary only says that the software works: usable at best;
    so does one of random weights about size and speed. What was timed in an unfit state is
    untested.
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
    kept = {finding.metric for finding in findings if finding.status == "pass"}
    doubted = {finding.metric for finding in findings if finding.status != "pass"}
    essential = {"load_s", "peak_memory_bytes", "decode_tps", "consistency"}
    proven = any(check.outcome == "passed" for check in checks)
    if (
        deployment.source.weights == "hub"
        and tier is not None
        and proven
        and name in ("pass", "no_baseline")
        and essential <= kept
        and not (essential | {"known_bug", "peak_device_bytes"}) & doubted
    ):
        return "recommended"
    return "usable"


# --------------------------------------------------------------------------- numbers

_Values = dict[str, Suites]
"""Metric -> suite -> valid numbers, in the order they were measured."""


def _accept(trials: Sequence[Trial]) -> tuple[_Values, list[Finding]]:
    """The valid numbers, and a finding per metric of which some were rejected."""
    values: _Values = {}
    rejected: dict[str, int] = {}
    for trial in trials:
        if trial.metric not in METRICS:
            continue
        if is_valid(trial):
            suites = values.setdefault(trial.metric, {})
            suites.setdefault(trial.suite, []).append(float(trial.value))
        else:
            rejected[trial.metric] = rejected.get(trial.metric, 0) + 1
    findings = []
    for metric, count in rejected.items():
        left = len(_all(values, metric))
        wanted = _WANTED.get(METRICS[metric][0], "a positive finite number")
        text = f"{count} of {count + left} repetitions of {metric} gave no measurement ({wanted})."
        findings.append(Finding(metric, "warn" if left else "fail", text))
    return values, findings


def is_valid(trial: Trial) -> bool:
    """Whether a trial is a measurement at all: finite, positive, a share where it is one.

    A growth may be nought or negative.
    """
    try:
        value = float(trial.value)
    except (TypeError, ValueError, OverflowError):
        return False
    unit, _ = METRICS.get(trial.metric, ("", ""))
    if unit == "share":
        return 0 <= value <= 1
    if unit == "count":
        return 0 <= value <= _MOST
    if unit == "B/request":
        return abs(value) <= _MOST
    return _LEAST <= value <= _MOST


def _all(values: _Values, metric: str) -> list[float]:
    return [value for suite in values.get(metric, {}).values() for value in suite]


# --------------------------------------------------------------------------- stored baseline


def _compare(
    deployment: Deployment,
    machine: Machine,
    environment: Environment | None,
    values: _Values,
    stored: Sequence[tuple[Earlier, _Values]],
    fit: bool,
) -> list[Finding]:
    """A finding per metric that this session and an earlier one both measured, suite by suite.

    Memory is compared in any state of the machine; timing in an unfit state cannot be. Answers do
    not depend on the machine: accuracy is held against all sessions of the tier.
    """
    findings = []
    here = machine.identifier
    for metric in (*BASELINE_LIMITS, "accuracy"):
        enough = sessions_to_decide(BASELINE_LIMITS[metric][1]) if metric in BASELINE_LIMITS else 0
        seen = [
            Seen(one.machine.identifier, one.environment, found.get(metric, {}))
            for one, found in stored
        ]
        current, sessions = shared(values.get(metric, {}), seen, here, enough)
        if not current:
            continue
        against = describe(sessions, here)
        environments = [one.environment for one in sessions]
        if environment is not None and (
            other := difference(deployment.source.backend, environments, environment)
        ):
            against += f" with {other}"
        if metric == "accuracy":
            findings.append(_compare_accuracy(current, sessions, against))
        elif fit or metric in ("peak_memory_bytes", "peak_device_bytes"):
            findings.append(_compare_metric(metric, current, sessions, here, against))
    return findings


def _compare_metric(
    metric: str,
    current: Sequence[float],
    sessions: Sequence[Measured],
    machine: str,
    against: str,
) -> Finding:
    noticeable, margin = BASELINE_LIMITS[metric]
    unit, stored = levels(sessions, machine)
    interval = baseline_interval(current, stored, METRICS[metric][1])
    place = standing(interval, noticeable, margin)
    factor = f"factor {_factor(interval.difference)}"
    span = f"{_factor(interval.lower)} to {_factor(interval.upper)}, over 1 is worse"
    text = f"{_NAMES[metric]} against {against}: {factor} ({span}); the margin is {1 + margin:.2f}"
    if place == "consistent":
        return Finding(metric, "pass", f"{text}, so it is consistent.")
    if place == "suspect":
        return Finding(
            metric,
            "suspect",
            f"{text}, so it is suspect: compare the two environments, interleaved.",
        )
    needed = sessions_to_decide(margin)
    kind = "earlier sessions" if unit == "session" else "sessions of this machine, or machines,"
    more = f"; it takes {needed} {kind} to decide" if needed > interval.sessions else ""
    return Finding(metric, "unknown", f"{text}, so these sessions cannot tell{more}.")


def _factor(difference: float) -> str:
    ratio = math.exp(difference)  # of valid numbers, so at most 1e27
    return f"{ratio:.3f}" if 0.001 <= ratio < 100 else f"{ratio:.3g}"


def _compare_accuracy(
    current: Sequence[float], sessions: Sequence[Measured], against: str
) -> Finding:
    """In points, on the same items: a drop under the margin is consistent."""
    now = math.fsum(current) / len(current)
    means = [math.fsum(one.values) / len(one.values) for one in sessions]
    before = math.fsum(means) / len(means)
    text = f"Accuracy is {now:.1%} against {before:.1%} in {against}"
    if before - now < ACCURACY_MARGIN:
        return Finding("accuracy", "pass", f"{text}, so it is consistent.")
    points = f"a drop of {ACCURACY_MARGIN * 100:.0f} points or more is suspect"
    return Finding("accuracy", "suspect", f"{text}: {points}.")


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
