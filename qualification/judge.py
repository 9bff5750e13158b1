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

from qualification.budgets import (
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
from qualification.records import (
    METRICS,
    Advice,
    Check,
    Condition,
    Deployment,
    Finding,
    Machine,
    Tier,
    Trial,
    Verdict,
    VerdictName,
)
from qualification.statistics import baseline_interval, sessions_to_decide, standing

__all__ = ["BASELINE_LIMITS", "is_valid", "judge", "load_limit_s"]

BASELINE_LIMITS: dict[str, tuple[float, float]] = {
    "decode_tps": (0.01, 0.10),
    "prefill_tps": (0.02, 0.20),
    "ttft_s": (0.02, 0.20),
    "load_s": (0.03, 0.30),
    "peak_memory_bytes": (0.005, 0.05),
    "peak_device_bytes": (0.005, 0.05),
}
"""Metric -> δ₀ and m of JUDGING's table (last column), as shares."""

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


def judge(
    deployment: Deployment,
    tier: Tier | None,
    machine: Machine,
    trials: Sequence[Trial],
    checks: Sequence[Check],
    baseline: Sequence[Sequence[Trial]],
    conditions: Sequence[Condition],
    does_not_fit: str = "",
) -> Verdict:
    """What is said of one deployment after one session; raises for no finite or other input.

    ``trials`` and ``checks`` are this session's, ``baseline`` the trials of each earlier session
    of the same tier; those of other deployments are ignored. ``does_not_fit`` is the sentence of
    a prediction, '' where there is none. Repetitions of one metric in one suite are taken to be of
    one and the same request.
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
        earlier = [
            _accept([trial for trial in session if trial.deployment == identifier])[0]
            for session in baseline
        ]
        compared = _compare(values, [session for session in earlier if session], fit)
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

_Values = dict[str, dict[str, list[float]]]
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


def _compare(values: _Values, sessions: Sequence[_Values], fit: bool) -> list[Finding]:
    """A finding per metric that this session and an earlier one both measured, suite by suite.

    Memory is compared in any state of the machine; timing in an unfit state cannot be.
    """
    findings = []
    for metric in (*BASELINE_LIMITS, "accuracy"):
        current, stored = _shared(values.get(metric, {}), [s.get(metric, {}) for s in sessions])
        if not current or not stored:
            continue
        if metric == "accuracy":
            findings.append(_compare_accuracy(current, stored))
        elif fit or metric in ("peak_memory_bytes", "peak_device_bytes"):
            findings.append(_compare_metric(metric, current, stored))
    return findings


def _shared(
    current: dict[str, list[float]], sessions: Sequence[dict[str, list[float]]]
) -> tuple[list[float], list[list[float]]]:
    """Numbers of the suites that every side has, so that like is compared with like."""
    sessions = [session for session in sessions if set(session) & set(current)]
    suites = sorted(set(current).intersection(*map(set, sessions)))
    return (
        [value for suite in suites for value in current[suite]],
        [[value for suite in suites for value in session[suite]] for session in sessions]
        if suites
        else [],
    )


def _compare_metric(
    metric: str, current: Sequence[float], stored: Sequence[Sequence[float]]
) -> Finding:
    noticeable, margin = BASELINE_LIMITS[metric]
    interval = baseline_interval(current, stored, METRICS[metric][1])
    place = standing(interval, noticeable, margin)
    count = interval.sessions
    against = f"{count} earlier session{'s' if count > 1 else ''}"
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
    more = f"; it takes {needed} earlier sessions to decide" if needed > count else ""
    return Finding(metric, "unknown", f"{text}, so these sessions cannot tell{more}.")


def _factor(difference: float) -> str:
    ratio = math.exp(difference)  # of valid numbers, so at most 1e27
    return f"{ratio:.3f}" if 0.001 <= ratio < 100 else f"{ratio:.3g}"


def _compare_accuracy(current: Sequence[float], stored: Sequence[Sequence[float]]) -> Finding:
    """In points, on the same items: a drop under the margin is consistent."""
    now = math.fsum(current) / len(current)
    means = [math.fsum(session) / len(session) for session in stored]
    before = math.fsum(means) / len(means)
    text = f"Accuracy is {now:.1%} against {before:.1%} in {len(means)} earlier session"
    text += f"{'s' if len(means) > 1 else ''}"
    if before - now < ACCURACY_MARGIN:
        return Finding("accuracy", "pass", f"{text}, so it is consistent.")
    points = f"a drop of {ACCURACY_MARGIN * 100:.0f} points or more is suspect"
    return Finding("accuracy", "suspect", f"{text}: {points}.")


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
