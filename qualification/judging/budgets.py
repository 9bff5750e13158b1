"""Findings against absolute limits: a tier's budgets, the roofline, checks, conditions. Pure.

``fit`` False means that a condition makes timing unfit: a broken limit is then unknown, not failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qualification.core.declarations import Deployment, KnownBug, MemoryBudget, Tier
from qualification.core.format import (
    bytes_text,
    change_text,
    number,
    percent_text,
    rate_text,
    seconds_text,
)
from qualification.core.results import Check, Condition, Finding, Machine
from qualification.core.text import one_line
from qualification.judging.stats.estimators import coefficient_of_variation, median
from qualification.models.known_bugs import how_to_end, remedy
from qualification.models.memory_fit import DEFAULT_BUDGET
from qualification.models.roofline import (
    INVESTIGATE_SHARE,
    SUSPICIOUS_SHARE,
    fills_the_bus,
    roofline,
)

REFERENCE_PARAMETERS = 8.3e9
"""Parameters of Qwen2.5-VL-7B with its vision tower: the "7B" that a tier's load limit is for."""

DEFAULT_LOAD_LIMIT_S = 10.0

CANARY_SERVER_START_S = 30.0
"""A canary itself loads in no time: this is the start of a server's program, imports included."""

CONSISTENT_VARIATION = 0.10
"""Largest coefficient of variation of consistent requests.

The published consistent runs (94.58, 95.37, 96.26 tok/s) have 0.9 %, the inconsistent ones (8.77,
12.28, 34.36) 75 % (docs/published-documents.md, "Figures that limits are taken from"). Repetitions
on a quiet machine stay under 3 %, and 10 % is also the drift that makes a run doubtful.
Source: docs/judging.md ("Shares, variation and slopes").
"""

CANARY_VARIATION = 0.60
"""A canary's request takes tens of milliseconds; one pause of the scheduler is a large part."""

MAX_TOKEN_DRIFT, MAX_SENTINEL_DRIFT = 1.10, 1.05
"""Latency ratios beyond which a machine did not stay in one state: the last quarter of a request's
tokens over the first quarter, and one request before and after everything else.

Source: docs/measuring.md ("Conditions and their limits").
"""

MIN_REPETITIONS = 3

TIMED_TESTS = {"load_s": "test_load_within_limit", "consistency": "test_speed_repeats"}
"""Metric -> the check of its timing budget, whose failure says nothing where a condition is unfit.

Who leaves the check out of a run does not ask for the budget.
"""


def load_limit_s(deployment: Deployment, tier: Tier | None) -> float:
    """Seconds that loading may take: the tier's limit for a 7B, in proportion for a larger one."""
    limit = tier.load_limit if tier else DEFAULT_LOAD_LIMIT_S
    source = deployment.source
    start = CANARY_SERVER_START_S if (source.backend, source.weights) == ("server", "canary") else 0
    return start + limit * max(1.0, deployment.model.parameters / REFERENCE_PARAMETERS)


def load_findings(
    deployment: Deployment, tier: Tier | None, values: Sequence[float], fit: bool
) -> list[Finding]:
    """Load time against the limit."""
    if not values:
        return [Finding("load_s", "unknown", "Load time was not measured.")]
    took, limit = median(values), load_limit_s(deployment, tier)
    text = f"Loading took {seconds_text(took)}; the limit for this size is {seconds_text(limit)}"
    return [_timing("load_s", took <= limit, text, fit)]


def memory_findings(tier: Tier | None, machine: Machine, values: Sequence[float]) -> list[Finding]:
    """Peak memory against the thresholds and against the headroom that the budget leaves.

    Over the critical threshold is a failure; over the warning threshold, or over the headroom
    beside system, server and applications, is a warning. The machine's state does not matter here.
    """
    metric = "peak_memory_bytes"
    if not values:
        return [Finding(metric, "unknown", "Peak memory was not measured.")]
    peak, total = max(values), machine.memory_bytes
    if total <= 0:
        text = f"Peak memory is {bytes_text(peak)}, but this machine's memory is not known."
        return [Finding(metric, "unknown", text)]
    budget = tier.budget if tier else DEFAULT_BUDGET
    findings = _over_thresholds(metric, "Peak memory", peak, total, budget)
    if any(finding.status == "fail" for finding in findings):
        return findings
    headroom = max(0.0, total - budget.system - budget.server - budget.applications)
    if peak > headroom:
        text = (
            f"Peak memory is {bytes_text(peak)}, over the {bytes_text(headroom)} that system,"
            " server and applications leave."
        )
        findings.append(Finding(metric, "warn", text))
    if findings:
        return findings
    text = f"Peak memory is {bytes_text(peak)}, {_share_of(total, peak)}, within the budget."
    return [Finding(metric, "pass", text)]


def device_memory_findings(
    tier: Tier | None, machine: Machine, values: Sequence[float]
) -> list[Finding]:
    """Peak memory of CUDA GPUs against the same thresholds; no finding where there is none."""
    metric = "peak_device_bytes"
    total = sum(device.memory_bytes for device in machine.accelerators if device.kind == "cuda")
    if not any(device.kind == "cuda" for device in machine.accelerators):
        return []
    if not values or total <= 0:
        text = "The driver did not report the process's memory on the GPU."
        return [Finding(metric, "unknown", text)]
    peak = max(values)
    budget = tier.budget if tier else DEFAULT_BUDGET
    if findings := _over_thresholds(metric, "GPU memory", peak, total, budget):
        return findings
    text = f"GPU memory is {bytes_text(peak)}, {_share_of(total, peak)}, within the thresholds."
    return [Finding(metric, "pass", text)]


def _over_thresholds(
    metric: str, name: str, peak: float, total: float, budget: MemoryBudget
) -> list[Finding]:
    """A failure over the critical threshold, a warning over the other one, else nothing."""
    text = f"{name} is {bytes_text(peak)}, {_share_of(total, peak)}"
    if peak > budget.critical_share * total:
        limit = percent_text(budget.critical_share, digits=0)
        return [Finding(metric, "fail", f"{text}: over the critical threshold of {limit}.")]
    if peak > budget.warning_share * total:
        limit = percent_text(budget.warning_share, digits=0)
        return [Finding(metric, "warn", f"{text}: over the warning threshold of {limit}.")]
    return []


def _share_of(total: float, peak: float) -> str:
    """``18% of 32.0 GB``."""
    return f"{percent_text(peak / total, digits=0)} of {bytes_text(total)}"


def speed_findings(
    deployment: Deployment,
    tier: Tier | None,
    machine: Machine,
    values: Sequence[float],
    fit: bool,
    decode_bytes: int = 0,
) -> list[Finding]:
    """Decoding speed against the roofline and against the floor.

    The floor is a share of the roofline, or the declared speed. A canary is too small for either
    to mean anything. A model that fills the memory bus and runs far under the roofline is to be
    investigated.
    """
    metric = "decode_tps"
    if not values:
        return [Finding(metric, "unknown", "Decoding speed was not measured.")]
    typical, fastest = median(values), max(values)
    speed = f"Decoding runs at {rate_text(typical)}"
    roof = roofline(deployment, machine, decode_bytes)
    bound = roof.bound_tps
    if rejected := roof.rejects(values):
        return [Finding(metric, "fail", rejected)]
    findings = []
    if bound and fastest > SUSPICIOUS_SHARE * bound:
        text = (
            f"A repetition at {rate_text(fastest)} is {percent_text(fastest / bound, digits=0)} of"
            f" the roofline of {rate_text(bound)}, more than real runs reach."
        )
        findings.append(Finding(metric, "warn", text))
    if deployment.source.weights == "canary":
        text = f"{speed}; {roof.why}."
        return [*findings, Finding(metric, "pass" if machine.bandwidth else "unknown", text)]
    declared = deployment.source.speed_floors.get(tier.name, 0.0) if tier else 0.0
    large = fills_the_bus(deployment, machine)
    if bound:
        share = percent_text(typical / bound, digits=0)
        speed += f", {share} of the roofline of {rate_text(bound)}"
        if large and typical < INVESTIGATE_SHARE * bound:
            speed += f" (under {INVESTIGATE_SHARE:.0%}: investigate the software)"
    if declared:
        text = f"{speed}; the declared floor is {rate_text(declared)}"
        return [*findings, _timing(metric, typical >= declared, text, fit)]
    if not bound:
        return [*findings, Finding(metric, "unknown", f"{speed}; {roof.why}.")]
    floor_share = tier.speed_floor_share if tier else 0.0
    if not floor_share:
        return [*findings, Finding(metric, "unknown", f"{speed}; no tier declares a floor.")]
    floor = floor_share * bound
    text = f"{speed}; the floor is {percent_text(floor_share, digits=0)}, {rate_text(floor)}"
    return [*findings, _timing(metric, typical >= floor, text, fit, "fail" if large else "warn")]


_NO_TIME = {
    "burst_answers": "Answers whose tokens came in a burst, which is no decoding speed: {}. The "
    "stream was buffered, or read later than the tokens were made.",
    "replayed_answers": "Answers that came faster than their own time to first token allows, which "
    "is no decoding speed: {}. They were kept from an earlier request, or held back.",
    "cached_answers": "Answers to prompts that the server had computed for an earlier request, so "
    "that they have no time to first token: {}.",
}
"""Metric -> its sentence."""


def untimed_findings(counts: Mapping[str, Sequence[float]]) -> list[Finding]:
    """The answers that have no speed, by their metric; none where all have one."""
    return [
        Finding(metric, "unknown", text.format(f"{sum(counts[metric]):.0f}"))
        for metric, text in _NO_TIME.items()
        if sum(counts.get(metric, ()))
    ]


def consistency_findings(
    deployment: Deployment, suites: Mapping[str, Sequence[float]], fit: bool
) -> list[Finding]:
    """Coefficient of variation of equal requests, a finding for each suite that timed any."""
    findings = []
    canary = deployment.source.weights == "canary"
    limit = CANARY_VARIATION if canary else CONSISTENT_VARIATION
    for suite, values in suites.items():
        if len(values) < MIN_REPETITIONS:
            continue
        variation = coefficient_of_variation(values)
        runs = f"{number(min(values))} to {rate_text(max(values))} in {len(values)} equal requests"
        text = (
            f"Decoding speed ({suite}: {runs}) has a CV of {percent_text(variation)};"
            f" up to {percent_text(limit, digits=0)} is consistent"
        )
        worst = "warn" if canary else "fail"
        findings.append(_timing("consistency", variation <= limit, text, fit, worst))
    if not findings:
        text = f"Consistency needs {MIN_REPETITIONS} timed repetitions of one request."
        findings.append(Finding("consistency", "unknown", text))
    return findings


_LONGEST_REASON = 500
"""Characters: what to do comes last, behind the path of a file."""


def check_findings(
    checks: Sequence[Check], fit: bool, bugs: Sequence[KnownBug] = ()
) -> list[Finding]:
    """Checks that failed, known bugs that showed or no longer do, and checks that were skipped.

    A bug that showed has one finding, with its workaround and issue if it is among ``bugs``.
    """
    remedies = {bug.identifier: f"; {remedy(bug)}" for bug in bugs}
    tests_by_bug: dict[str, list[str]] = {}
    findings = []
    for check in checks:
        if check.outcome in ("failed", "error"):
            findings.append(_failure(check, fit))
        elif check.outcome == "xfailed":
            tests_by_bug.setdefault(check.known_bug or "A known bug", []).append(check.test)
        elif check.outcome == "xpassed":
            bug = check.known_bug or "A known bug"
            text = f"{bug} no longer makes {check.test} fail: {how_to_end()}."
            findings.append(Finding("known_bug", "warn", text))
    for bug, tests in tests_by_bug.items():
        failing = ", ".join(dict.fromkeys(tests))
        text = f"{bug} makes {failing} fail, as it is known to{remedies.get(bug, '')}."
        findings.append(Finding("known_bug", "warn", text))
    skipped: dict[str, list[str]] = {}
    for check in checks:
        if check.outcome == "skipped":
            skipped.setdefault(one_line(check.detail, _LONGEST_REASON), []).append(check.test)
    for reason, tests in skipped.items():
        because = f": {reason}" if reason else ""
        text = f"Skipped: {', '.join(dict.fromkeys(tests))}{because}"
        findings.append(Finding("check", "unknown", text if text.endswith(".") else f"{text}."))
    return findings


def _failure(check: Check, fit: bool) -> Finding:
    verb = "failed" if check.outcome == "failed" else "could not run"
    if not fit and check.test in TIMED_TESTS.values():
        text = f"{check.test} {verb} in a state unfit for timing, which says nothing."
        return Finding("check", "unknown", text)
    manner = f" (in another way than {check.known_bug})" if check.known_bug else ""
    return Finding("check", "fail", f"The check {check.test} ({check.suite}) {verb}{manner}.")


def only_asked(findings: Sequence[Finding], checks: Sequence[Check]) -> list[Finding]:
    """The findings, those of a timing budget not judged where its check is not among ``checks``."""
    tests = {check.test for check in checks}
    judged = []
    for finding in findings:
        test = TIMED_TESTS.get(finding.metric)
        if test and test not in tests and finding.status in ("fail", "warn"):
            text = f"{finding.sentence.removesuffix('.')}, but {test} was not asked for."
            finding = Finding(finding.metric, "unknown", text)
        judged.append(finding)
    return judged


def drift_conditions(
    deployment: Deployment, tokens: Sequence[float], sentinel: Sequence[float]
) -> list[Condition]:
    """The authority on the machine's state: its own speed, at the end against the beginning.

    ``tokens`` are values of :func:`stats.estimators.drift`, ``sentinel`` of
    :func:`stats.estimators.departure`. A canary's are recorded and not judged, because its requests
    take tens of milliseconds.
    """
    if deployment.source.weights == "canary":
        return []
    conditions = []
    for name, values, limit in (
        ("token_drift", tokens, MAX_TOKEN_DRIFT),
        ("sentinel_drift", sentinel, MAX_SENTINEL_DRIFT),
    ):
        if not values:
            continue
        worst = max(values)
        fit = worst <= limit
        note = "" if fit else f"over {limit - 1:.0%}: the machine did not stay in one state"
        conditions.append(Condition(name, change_text(worst), fit, note))
    return conditions


def condition_findings(conditions: Sequence[Condition]) -> list[Finding]:
    """Each condition that makes timing unfit."""
    return [
        Finding(
            "conditions",
            "unknown",
            f"Speed is not judged, because {condition.name.replace('_', ' ')} was"
            f" {condition.value}{f' ({condition.note})' if condition.note else ''}.",
        )
        for condition in conditions
        if not condition.fit
    ]


def _timing(metric: str, holds: bool, text: str, fit: bool, worst: str = "fail") -> Finding:
    if holds:
        return Finding(metric, "pass", f"{text}.")
    if not fit:
        return Finding(metric, "unknown", f"{text}, but the machine was unfit for timing.")
    return Finding(metric, "warn" if worst == "warn" else "fail", f"{text}.")
