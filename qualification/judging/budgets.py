"""Findings against absolute limits: a tier's budgets, the roofline, checks, conditions. Pure.

``fit`` False says that a condition makes timing unfit: what it breaks is then unknown, not failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qualification.core.declarations import Deployment, MemoryBudget, Tier
from qualification.core.results import Check, Condition, Finding, Machine
from qualification.judging.stats.estimators import coefficient_of_variation, median
from qualification.models.memory_fit import DEFAULT_BUDGET
from qualification.models.roofline import (
    INVESTIGATE_SHARE,
    SUSPICIOUS_SHARE,
    fills_the_bus,
    roofline,
)

REFERENCE_PARAMETERS = 8.3e9
"""Of Qwen2.5-VL-7B, vision tower included: the "7B" that a tier's load limit is for."""

DEFAULT_LOAD_LIMIT_S = 10.0

CANARY_SERVER_START_S = 30.0
"""A canary loads in no time: what is seen of its server is the program's start, imports and all."""

CONSISTENT_VARIATION = 0.10
"""Coefficient of variation of equal requests. The seeds' consistent runs (94.58, 95.37, 96.26
tok/s) have 0.9 %, their inconsistent ones (8.77, 12.28, 34.36) 75 %; repetitions on a quiet
machine stay under 3 %, and 10 % is also the drift that makes a run doubtful."""

CANARY_VARIATION = 0.60
"""A canary's request takes tens of milliseconds, of which one pause of the scheduler is much."""

MAX_TOKEN_DRIFT, MAX_SENTINEL_DRIFT = 1.10, 1.05
"""Ratios beyond which a machine was not in one state: a request's last quarter of tokens over its
first, and the same request before and after everything else (MEASURING, "Preconditions")."""

MIN_REPETITIONS = 3

TIMED_TESTS = frozenset({"test_load_within_limit", "test_speed_repeats"})
"""Checks that repeat a budget of timing: in an unfit state their failure says nothing."""


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
    text = f"Loading took {figure(took)} s; the limit for this size is {figure(limit)} s"
    return [_timing("load_s", took <= limit, text, fit)]


def memory_findings(tier: Tier | None, machine: Machine, values: Sequence[float]) -> list[Finding]:
    """Peak memory against the marks and against what the budget leaves.

    Over the critical mark fails; over the warning mark, or over what system, server and
    applications leave, warns. The state of the machine does not matter here.
    """
    metric = "peak_memory_bytes"
    if not values:
        return [Finding(metric, "unknown", "Peak memory was not measured.")]
    peak, total = max(values), machine.memory_bytes
    if total <= 0:
        text = f"Peak memory is {_gb(peak)}, but this machine's memory is not known."
        return [Finding(metric, "unknown", text)]
    budget = tier.budget if tier else DEFAULT_BUDGET
    findings = _marks(metric, "Peak memory", peak, total, budget)
    if any(finding.status == "fail" for finding in findings):
        return findings
    left = total - budget.system - budget.server - budget.applications
    if peak > left:
        over = (
            f"Peak memory is {_gb(peak)}, over the {_gb(max(0.0, left))} that system, server and"
            " applications leave."
        )
        findings.append(Finding(metric, "warn", over))
    if findings:
        return findings
    text = f"Peak memory is {_gb(peak)}, {_share(peak, total)} of {_gb(total)}"
    return [Finding(metric, "pass", f"{text}, within the budget.")]


def device_memory_findings(
    tier: Tier | None, machine: Machine, values: Sequence[float]
) -> list[Finding]:
    """Peak memory of the GPUs against the same marks; nothing where there is no such GPU."""
    metric = "peak_device_bytes"
    total = sum(device.memory_bytes for device in machine.accelerators if device.kind == "cuda")
    if not any(device.kind == "cuda" for device in machine.accelerators):
        return []
    if not values or total <= 0:
        text = "What the process held on the GPU was not told by the driver."
        return [Finding(metric, "unknown", text)]
    peak = max(values)
    if findings := _marks(metric, "GPU memory", peak, total, tier.budget if tier else None):
        return findings
    text = f"GPU memory is {_gb(peak)}, {_share(peak, total)} of {_gb(total)}, within the marks."
    return [Finding(metric, "pass", text)]


def _marks(
    metric: str, name: str, peak: float, total: float, budget: MemoryBudget | None
) -> list[Finding]:
    """A failure over the critical mark, a warning over the other, nothing under both."""
    budget = budget or DEFAULT_BUDGET
    text = f"{name} is {_gb(peak)}, {_share(peak, total)} of {_gb(total)}"
    if peak > budget.critical_share * total:
        mark = f"{text}: over the critical mark of {budget.critical_share:.0%}."
        return [Finding(metric, "fail", mark)]
    if peak > budget.warning_share * total:
        mark = f"{text}: over the warning mark of {budget.warning_share:.0%}."
        return [Finding(metric, "warn", mark)]
    return []


def speed_findings(
    deployment: Deployment,
    tier: Tier | None,
    machine: Machine,
    values: Sequence[float],
    fit: bool,
) -> list[Finding]:
    """Decoding speed against what physics allows and against the floor.

    The floor is a share of the roofline, or the declared speed. A canary is too small for either
    to mean anything. Far under the roofline a model that fills the memory bus is to be looked at.
    """
    metric = "decode_tps"
    if not values:
        return [Finding(metric, "unknown", "Decoding speed was not measured.")]
    middle, fastest = median(values), max(values)
    speed = f"Decoding runs at {figure(middle)} tok/s"
    roof = roofline(deployment, machine)
    bound = roof.bound_tps
    if rejected := roof.rejects(values):
        return [Finding(metric, "fail", rejected)]
    findings = []
    if bound and fastest > SUSPICIOUS_SHARE * bound:
        text = (
            f"A repetition at {figure(fastest)} tok/s is {_share(fastest, bound)} of the"
            f" {figure(bound)} tok/s that the memory bandwidth allows, more than real runs reach."
        )
        findings.append(Finding(metric, "warn", text))
    if deployment.source.weights == "canary":
        text = f"{speed}; {roof.why}."
        return [*findings, Finding(metric, "pass" if machine.bandwidth else "unknown", text)]
    declared = deployment.source.speed_floors.get(tier.name, 0.0) if tier else 0.0
    large = fills_the_bus(deployment, machine)
    if bound:
        speed += f", {_share(middle, bound)} of the roofline of {figure(bound)} tok/s"
        if large and middle < INVESTIGATE_SHARE * bound:
            speed += f" (under {INVESTIGATE_SHARE:.0%}: investigate the software)"
    if declared:
        text = f"{speed}; the declared floor is {figure(declared)} tok/s"
        return [*findings, _timing(metric, middle >= declared, text, fit)]
    if not bound:
        return [*findings, Finding(metric, "unknown", f"{speed}; {roof.why}.")]
    share = tier.speed_floor_share if tier else 0.0
    if not share:
        return [*findings, Finding(metric, "unknown", f"{speed}; no tier declares a floor.")]
    floor = share * bound
    text = f"{speed}; the floor is {share:.0%}, {figure(floor)} tok/s"
    return [*findings, _timing(metric, middle >= floor, text, fit, "fail" if large else "warn")]


def consistency_findings(
    deployment: Deployment, suites: Mapping[str, Sequence[float]], fit: bool
) -> list[Finding]:
    """Coefficient of variation of equal requests, a finding per suite that timed some."""
    findings = []
    canary = deployment.source.weights == "canary"
    limit = CANARY_VARIATION if canary else CONSISTENT_VARIATION
    for suite, values in suites.items():
        if len(values) < MIN_REPETITIONS:
            continue
        share = coefficient_of_variation(values)
        runs = f"{len(values)} equal requests ({suite}, {figure(min(values))} to"
        text = (
            f"Decoding speed of {runs} {figure(max(values))} tok/s) varies by {share:.1%};"
            f" up to {limit:.0%} is consistent"
        )
        worst = "warn" if canary else "fail"
        findings.append(_timing("consistency", share <= limit, text, fit, worst))
    if not findings:
        text = f"Consistency needs {MIN_REPETITIONS} timed repetitions of one request."
        findings.append(Finding("consistency", "unknown", text))
    return findings


def check_findings(checks: Sequence[Check], fit: bool) -> list[Finding]:
    """What failed, what is known to fail, what no longer does, and what was left out."""
    findings = []
    for check in checks:
        if check.outcome in ("failed", "error"):
            verb = "failed" if check.outcome == "failed" else "could not run"
            other = f" (in another way than {check.known_bug})" if check.known_bug else ""
            if not fit and check.test in TIMED_TESTS:
                text = f"{check.test} {verb} in a state unfit for timing, which says nothing."
                findings.append(Finding("check", "unknown", text))
                continue
            text = f"The check {check.test} ({check.suite}) {verb}{other}."
            findings.append(Finding("check", "fail", text))
        elif check.outcome == "xfailed":
            text = f"{check.known_bug or 'A known bug'} makes {check.test} fail, as it is known to."
            findings.append(Finding("known_bug", "warn", text))
        elif check.outcome == "xpassed":
            bug = check.known_bug or "A known bug"
            text = f"{bug} no longer makes {check.test} fail: end its range in bugs.toml."
            findings.append(Finding("known_bug", "warn", text))
    left_out: dict[str, list[str]] = {}
    for check in checks:
        if check.outcome == "skipped":
            left_out.setdefault(_one_line(check.detail), []).append(check.test)
    for reason, tests in left_out.items():
        because = f": {reason}" if reason else ""
        text = f"Left out: {', '.join(dict.fromkeys(tests))}{because}"
        findings.append(Finding("check", "unknown", text if text.endswith(".") else f"{text}."))
    return findings


def drift_conditions(
    deployment: Deployment, tokens: Sequence[float], sentinel: Sequence[float]
) -> list[Condition]:
    """The authority on the machine's state: its own speed, at the end against the beginning.

    Of :func:`statistics.drift` and :func:`statistics.departure`. A canary's figures are recorded
    and not judged: its requests take tens of milliseconds.
    """
    if deployment.source.weights == "canary":
        return []
    found = []
    for name, values, limit in (
        ("token_drift", tokens, MAX_TOKEN_DRIFT),
        ("sentinel_drift", sentinel, MAX_SENTINEL_DRIFT),
    ):
        if not values:
            continue
        worst = max(values)
        fit = worst <= limit
        note = "" if fit else f"over {limit - 1:.0%}: the machine did not stay in one state"
        found.append(Condition(name, f"{worst - 1:+.1%}", fit, note))
    return found


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


def _timing(metric: str, kept: bool, text: str, fit: bool, worst: str = "fail") -> Finding:
    if kept:
        return Finding(metric, "pass", f"{text}.")
    if not fit:
        return Finding(metric, "unknown", f"{text}, but the machine was unfit for timing.")
    return Finding(metric, "warn" if worst == "warn" else "fail", f"{text}.")


def figure(value: float) -> str:
    """A positive number for a sentence: three digits that matter, no exponent where it is long."""
    if value >= 1e6 or value < 0.01:
        return f"{value:.3g}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _gb(size: float) -> str:
    return f"{figure(size / 1e9)} GB" if size else "0 GB"


def _share(part: float, whole: float) -> str:
    """A percentage; over ten times the whole is said as a multiple."""
    share = part / whole
    return f"{share:.0%}" if share < 10 else f"{share:.3g} times"


def _one_line(text: str, limit: int = 200) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
