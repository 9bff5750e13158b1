"""Observations of baseline and candidate -> findings and one verdict. Pure.

Behaviour is judged by ``compare``, metrics by the sequential test. The gate passes only if all
comparisons pass, fails on any confirmed regression, and is otherwise inconclusive (docs/judging.md,
"The verdict of a gate").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from qualification.core.format import revision_text
from qualification.core.metric_types import Limits
from qualification.core.metrics import GATE_LIMITS, METRICS
from qualification.judging.stats.sequential import (
    ANALYSIS_PAIRS,
    Decision,
    effect,
    judge_series,
    log_ratio,
)
from qualification.upgrade.gate.compare import behaviour_findings
from qualification.upgrade.gate.records import (
    Behaviour,
    BehaviourFinding,
    GatePlan,
    GateResult,
    GateVerdict,
    MetricFinding,
    Pair,
    known_revisions,
)

_Finding = TypeVar("_Finding", BehaviourFinding, MetricFinding)

LOST_PAIRS = 3
"""After so many pairs in which a process of one side failed, no more are tried."""


def decide(
    plan: GatePlan,
    observations: Sequence[Behaviour],
    pairs: Sequence[Pair],
    *,
    finished: bool = True,
    wall_s: float = 0.0,
) -> GateResult:
    """Everything that follows from the observations so far."""
    revisions = {name: known_revisions(name, observations, pairs) for name in plan.identifiers}
    behaviour = tuple(
        _of_equal_weights(finding, finding.check, revisions)
        for finding in behaviour_findings(plan.deployments, observations, plan.warnings)
    )
    judged = (
        metric_finding(deployment, metric, pairs_of(pairs, deployment), finished=finished)
        for deployment in plan.timed
        for metric in plan.metrics
        if finished or pairs_of(pairs, deployment)
    )
    metrics = tuple(
        _of_equal_weights(finding, finding.metric, revisions)
        for finding in judged
        if finding is not None
    )
    verdicts = [
        *(finding.verdict for finding in behaviour),
        *(finding.verdict for finding in metrics),
    ]
    verdict = overall(verdicts)
    missing = len(set(plan.identifiers) - {finding.deployment for finding in behaviour})
    if missing and finished and verdict == "pass":
        verdict = "inconclusive"
    return GateResult(
        plan,
        verdict,
        behaviour,
        metrics,
        tuple(pairs),
        tuple(observations),
        _conclusion(plan, verdict, Counter(verdicts), missing),
        finished,
        wall_s,
    )


def _of_equal_weights(
    finding: _Finding, subject: str, revisions: Mapping[str, Sequence[str]]
) -> _Finding:
    """The finding; ``inconclusive`` where the files of the weights changed during the gate."""
    measured = revisions[finding.deployment]
    if len(measured) < 2:
        return finding
    sentence = (
        f"{subject} of {finding.deployment}: other weights were measured (revisions "
        f"{' and '.join(map(revision_text, measured))}), so nothing follows for the libraries"
    )
    return replace(finding, verdict="inconclusive", sentence=sentence)


def overall(verdicts: Iterable[GateVerdict]) -> GateVerdict:
    """Any regression regresses; only if all pass it passes; unfit if noise alone prevents that."""
    names = set(verdicts)
    if "regressed" in names:
        return "regressed"
    if names == {"pass"}:
        return "pass"
    return "unfit" if names and names <= {"pass", "unfit"} else "inconclusive"


def pairs_of(pairs: Iterable[Pair], deployment: str) -> tuple[Pair, ...]:
    """The pairs of one deployment, in order."""
    return tuple(pair for pair in pairs if pair.deployment == deployment)


def metric_finding(
    deployment: str, metric: str, pairs: Sequence[Pair], *, finished: bool = True
) -> MetricFinding | None:
    """The verdict on one metric; None where no process measures it (no GPU, no such phase).

    Unfinished, an undecided metric has the decision ``open`` and the verdict ``inconclusive``.
    """
    failed = [pair for pair in pairs if pair.a.failure or pair.b.failure]
    if (failure := _failure_finding(deployment, metric, pairs, failed)) is not None:
        return failure
    measured = [pair for pair in pairs if metric in pair.a.metrics and metric in pair.b.metrics]
    if not measured and len(failed) < len(pairs):
        return None
    a = tuple(pair.a.metrics[metric] for pair in measured)
    b = tuple(pair.b.metrics[metric] for pair in measured)
    better = METRICS[metric].better
    ratios = [log_ratio(x, y, better) for x, y in zip(a, b, strict=True)]
    limits = GATE_LIMITS[metric]
    decision = judge_series(ratios, limits)
    verdict: GateVerdict = "inconclusive" if decision.name == "open" else decision.name
    note = _note(decision, ratios, limits, finished=finished)
    reason = decision.reason
    if note == "budget":
        reason = f"undecided after {len(ratios)} pairs, no more were tried"
    return MetricFinding(
        deployment,
        metric,
        verdict,
        f"{metric} of {deployment}: {reason}",
        decision,
        effect(ratios, limits) if ratios else None,
        a,
        b,
        note,
    )


def _note(
    decision: Decision, ratios: Sequence[float], limits: Limits, *, finished: bool
) -> Literal["", "improved", "budget"]:
    if decision.name == "open":
        return "budget" if finished else ""
    # An improvement is a regression of the baseline against the candidate, confirmed alike.
    mirrored = [-ratio for ratio in ratios]
    if decision.name == "pass" and judge_series(mirrored, limits).name == "regressed":
        return "improved"
    return ""


def wanted_pairs(deployment: str, metrics: Sequence[str], pairs: Sequence[Pair]) -> int:
    """Total pairs after which to decide again; 0 where every metric of a deployment is decided."""
    if not pairs:
        return ANALYSIS_PAIRS[0]
    total = 0
    for metric in metrics:
        finding = metric_finding(deployment, metric, pairs, finished=False)
        if finding is not None and finding.decision.name == "open":
            total = max(total, finding.decision.next_pairs, len(pairs) + 1)
    return total


def _failure_finding(
    deployment: str, metric: str, pairs: Sequence[Pair], failed: Sequence[Pair]
) -> MetricFinding | None:
    """A process that failed gives no number: the candidate's alone regress, others leave it open.

    None while too few have failed.
    """
    failures_a = [pair.a.failure for pair in failed if pair.a.failure]
    failures_b = [pair.b.failure for pair in failed if pair.b.failure]
    if not failures_a and len(failures_b) >= LOST_PAIRS:
        verdict: Literal["regressed", "inconclusive"] = "regressed"
        reason = (
            f"the candidate failed in {len(failures_b)} of {len(pairs)} pairs "
            f"and the baseline in none: {failures_b[0]}"
        )
    elif len(failures_a) >= LOST_PAIRS:
        verdict = "inconclusive"
        reason = (
            f"the baseline itself failed in {len(failures_a)} of {len(pairs)} pairs: "
            f"{failures_a[0]}"
        )
    else:
        return None
    decision = Decision(verdict, "first", len(pairs), 0, (), reason)
    sentence = f"{metric} of {deployment}: {reason}"
    return MetricFinding(deployment, metric, verdict, sentence, decision, None, note="failure")


def _conclusion(
    plan: GatePlan, verdict: GateVerdict, counts: Counter[GateVerdict], missing: int
) -> str:
    """One sentence for the top of every report; ``missing`` deployments were not compared."""
    total = sum(counts.values())
    move = f"from {plan.a.name} to {plan.b.name}"
    if verdict == "pass":
        return f"Yes, {move}: all {total} comparisons pass."
    if verdict == "regressed":
        return f"No, not {move}: {counts['regressed']} of {total} comparisons are regressed."
    reason = (
        f"{counts['inconclusive']} inconclusive, {counts['unfit']} unfit of {total} comparisons"
    )
    if missing:
        reason += f"; {missing} deployments were not compared"
    return f"Cannot tell whether to move {move}: {reason}."
