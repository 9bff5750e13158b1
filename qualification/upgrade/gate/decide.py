"""Observations of two sides -> findings and one verdict. Pure: nothing is run, nothing is kept.

Behaviour is ``compare``'s; metrics follow ``rule.judge_series``. The gate passes only if all pass,
fails on any confirmed regression, and is otherwise inconclusive (JUDGING, "The upgrade gate").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from qualification.core.metrics import GATE_LIMITS, METRICS
from qualification.judging.stats.sequential import LOOKS, Decision, effect, judge_series, log_ratio
from qualification.upgrade.gate.compare import behaviour_findings
from qualification.upgrade.gate.records import (
    Behaviour,
    BehaviourFinding,
    GatePlan,
    GateResult,
    GateVerdict,
    MetricFinding,
    Pair,
)

LOST_PAIRS = 3
"""Pairs of which B failed and A did not, beyond which no more are tried."""


def decide(
    plan: GatePlan,
    observations: Sequence[Behaviour],
    pairs: Sequence[Pair],
    *,
    finished: bool = True,
    wall_s: float = 0.0,
) -> GateResult:
    """Everything that follows from what was observed so far."""
    behaviour = behaviour_findings(observations, plan.warnings)
    metrics = tuple(
        metric_finding(deployment, metric, pairs_of(pairs, deployment), finished=finished)
        for deployment in plan.timed
        for metric in plan.metrics
        if finished or pairs_of(pairs, deployment)
    )
    shown = tuple(one for one in metrics if one is not None)
    verdict = overall([*(one.verdict for one in behaviour), *(one.verdict for one in shown)])
    missing = sorted(set(plan.deployments) - {one.deployment for one in behaviour})
    if missing and finished and verdict == "pass":
        verdict = "inconclusive"
    return GateResult(
        plan,
        verdict,
        behaviour,
        shown,
        tuple(pairs),
        tuple(observations),
        _conclusion(plan, verdict, behaviour, shown, missing),
        finished,
        wall_s,
    )


def overall(verdicts: Iterable[GateVerdict]) -> GateVerdict:
    """Any regression regresses; only if all pass it passes; unfit where noise alone hinders."""
    found = set(verdicts)
    if "regressed" in found:
        return "regressed"
    if found == {"pass"}:
        return "pass"
    return "unfit" if found and found <= {"pass", "unfit"} else "inconclusive"


def pairs_of(pairs: Iterable[Pair], deployment: str) -> tuple[Pair, ...]:
    """The pairs of one deployment, in order."""
    return tuple(one for one in pairs if one.deployment == deployment)


# --------------------------------------------------------------------------- metrics


def metric_finding(
    deployment: str, metric: str, pairs: Sequence[Pair], *, finished: bool = True
) -> MetricFinding | None:
    """The verdict on one metric; None where neither side can tell it (no GPU, no such phase).

    Unfinished, an undecided metric has the decision ``open`` and the verdict ``inconclusive``.
    """
    broken = [one for one in pairs if one.a.failure or one.b.failure]
    if broken and (lost := _failures(deployment, metric, pairs, broken)) is not None:
        return lost
    both = [one for one in pairs if metric in one.a.metrics and metric in one.b.metrics]
    if not both and any(not (one.a.failure or one.b.failure) for one in pairs):
        return None
    ours = tuple(one.a.metrics[metric] for one in both)
    theirs = tuple(one.b.metrics[metric] for one in both)
    better = METRICS[metric][1]
    x = [log_ratio(a, b, better) for a, b in zip(ours, theirs, strict=True)]
    limits = GATE_LIMITS[metric]
    decision = judge_series(x, limits)
    found = effect(x, limits) if x else None
    verdict: GateVerdict = "inconclusive" if decision.name == "open" else decision.name
    note: Literal["", "improved", "budget"] = ""
    if decision.name == "open" and finished:
        note = "budget"
    elif verdict == "pass" and judge_series([-one for one in x], limits).name == "regressed":
        note = "improved"  # by the same rule, turned round and confirmed
    said = f"{metric} of {deployment}: {decision.reason}"
    if note == "budget":
        said = f"{metric} of {deployment}: undecided after {len(x)} pairs, no more were tried"
    return MetricFinding(deployment, metric, verdict, said, decision, found, ours, theirs, note)


def wanted_pairs(deployment: str, metrics: Sequence[str], pairs: Sequence[Pair]) -> int:
    """Total pairs after which to decide again; 0 where every metric of a deployment is decided."""
    if not pairs:
        return LOOKS[0]
    wanted = 0
    for metric in metrics:
        finding = metric_finding(deployment, metric, pairs, finished=False)
        if finding is not None and finding.decision.name == "open":
            wanted = max(wanted, finding.decision.wanted, len(pairs) + 1)
    return wanted


def _failures(
    deployment: str, metric: str, pairs: Sequence[Pair], broken: Sequence[Pair]
) -> MetricFinding | None:
    """A process that failed gave no number: B's alone regress, anything else stays open."""
    ours = [one.a.failure for one in broken if one.a.failure]
    theirs = [one.b.failure for one in broken if one.b.failure]
    if not ours and len(theirs) >= LOST_PAIRS:
        verdict: GateVerdict = "regressed"
        said = f"B failed in {len(theirs)} of {len(pairs)} pairs and A in none: {theirs[0]}"
    elif len(ours) >= LOST_PAIRS:
        verdict = "inconclusive"
        said = f"A itself failed in {len(ours)} of {len(pairs)} pairs: {ours[0]}"
    else:
        return None
    used = len(pairs)
    decision = Decision(
        "regressed" if verdict == "regressed" else "inconclusive", "first", used, 0, (), said
    )
    said = f"{metric} of {deployment}: {said}"
    return MetricFinding(deployment, metric, verdict, said, decision, None, note="failure")


def _conclusion(
    plan: GatePlan,
    verdict: GateVerdict,
    behaviour: Sequence[BehaviourFinding],
    metrics: Sequence[MetricFinding],
    missing: Sequence[str],
) -> str:
    """One sentence for the first line of every report."""
    counts = {
        name: sum(one.verdict == name for one in behaviour)
        + sum(one.verdict == name for one in metrics)
        for name in ("pass", "regressed", "inconclusive", "unfit")
    }
    total = sum(counts.values())
    move = f"from {plan.a.name} to {plan.b.name}"
    if verdict == "pass":
        return f"Yes, {move}: all {total} comparisons pass."
    if verdict == "regressed":
        return f"No, not {move}: {counts['regressed']} of {total} comparisons are regressed."
    rest = f"{counts['inconclusive']} inconclusive, {counts['unfit']} unfit of {total} comparisons"
    if missing:
        rest += f"; {len(missing)} deployments were not compared"
    return f"Cannot tell whether to move {move}: {rest}."
