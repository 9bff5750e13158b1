"""A good session of a 7B on a MacBook Air by hand, and verdicts on what differs from it."""

from __future__ import annotations

from dataclasses import replace

from qualification.core.declarations import Deployment, MemoryBudget, Model, Shape, Source, Tier
from qualification.core.metrics import METRICS
from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Condition, Environment, Machine, Trial, Verdict
from qualification.judging.baselines.storage import AcceptedSession
from qualification.judging.budgets import TIMED_TESTS
from qualification.judging.verdicts import Evidence, judge

GB = 10**9
QWEN_7B = Model(
    name="qwen2.5-vl-7b",
    family="qwen2_5_vl",
    parameters=8_292_166_656,
    licence="apache-2.0",
    capabilities=("vision", "text_only"),
    sources=(),
    shape=Shape(28, 3584, 18944, 28, 4, 128, 152064),
)
SMALL = replace(QWEN_7B, name="small", parameters=500_000_000)
TINY = replace(QWEN_7B, name="canary", shape=Shape(4, 128, 384, 4, 2, 32, 264))
REAL = Deployment(QWEN_7B, Source("mlx", "4bit", tiers=("air_m4",)))
CANARY = Deployment(TINY, Source("torch", "f32", weights="canary"))
AIR = Tier(
    "air_m4",
    "MacBook Air M4",
    "macos",
    32e9,
    32e9,
    MemoryBudget(8e9, 2e9, 16e9),
    accelerator="metal",
)
MACHINE = Machine(
    "macos", "15.5", "Apple M4", "MacBook Air", "arm64", 10, 10, 32 * GB, bandwidth=120e9
)
PASSED = Check(REAL.identifier, "capability", "test_sees", "passed")

ASKED = tuple(Check(REAL.identifier, "timing", test, "passed") for test in TIMED_TESTS.values())
"""The timing budgets are asked for; whether they hold is read off the trials."""
HOT = Condition("thermal", "heavy", False, "let the machine cool down first")
REVISION = "0123456789abcdef0123456789abcdef01234567"
# Over 45 % of the roofline of 29.7 tok/s, load under 10 s, memory under what the budget leaves.
GOOD = {
    "load_s": [5.8],
    "peak_memory_bytes": [5.79e9],
    "decode_tps": [20.1, 20.3, 20.2, 20.2, 20.0],
    "ttft_s": [1.0, 1.01, 1.02],
}
NAMES_WORST_FIRST = ("does_not_fit", "failed", "unfit", "inconclusive", "no_baseline", "pass")


def trials(values: dict[str, list[float]], of: Deployment = REAL) -> list[Trial]:
    """Repetitions in one suite."""
    return [
        Trial(of.identifier, metric, value, METRICS[metric].unit, number, "throughput")
        for metric, numbers in values.items()
        for number, value in enumerate(numbers)
    ]


def earlier_session(
    repetitions: list[Trial],
    machine: Machine = MACHINE,
    revision: str = REVISION,
    **versions: str,
) -> AcceptedSession:
    """A stored session, of the same machine and weights unless others are named."""
    return AcceptedSession(
        "s",
        "2026-01-01T00:00:00+00:00",
        machine,
        environment(**versions),
        tuple(repetitions),
        revision=revision,
    )


def load_reports(of: Deployment, revision: str = REVISION) -> dict[str, LoadReport]:
    """That a deployment was loaded, with weights of a revision."""
    return {of.identifier: LoadReport(5.8, 5.0, 0.5, "gpu", 0, revision, {})}


def environment(**versions: str) -> Environment:
    """Library versions by name, with _ for -."""
    return Environment(
        "current", "3.12.1", {name.replace("_", "-"): text for name, text in versions.items()}
    )


def judged(
    change: dict[str, list[float]] | None = None,
    *,
    of: Deployment = REAL,
    tier: Tier | None = AIR,
    machine: Machine = MACHINE,
    checks: tuple[Check, ...] = (PASSED, *ASKED),
    earlier: tuple[dict[str, list[float]], ...] = (),
    conditions: tuple[Condition, ...] = (),
    revision: str = REVISION,
) -> Verdict:
    """The good run, changed; ``revision`` is that of its weights, not of the earlier sessions'."""
    values = {**GOOD, **(change or {})}
    evidence = Evidence(
        trials(values, of),
        tuple(replace(check, deployment=of.identifier) for check in checks),
        conditions,
        load_reports=load_reports(of, revision),
    )
    baseline = [earlier_session(trials(session, of)) for session in earlier]
    return judge(of, tier, machine, evidence, baseline)


def findings_of(verdict: Verdict, metric: str) -> list[tuple[str, str]]:
    """Status and sentence of the findings of a metric."""
    return [(f.status, f.sentence) for f in verdict.findings if f.metric == metric]


def against(
    sessions: list[AcceptedSession],
    metric: str = "decode_tps",
    of: Deployment = REAL,
    **versions: str,
) -> tuple[str, str]:
    """Status and sentence of the good run's metric against stored sessions."""
    evidence = Evidence(
        trials(GOOD, of),
        [PASSED],
        environment=environment(**versions),
        load_reports=load_reports(of),
    )
    verdict = judge(of, AIR, replace(MACHINE, identifier="here"), evidence, sessions)
    return findings_of(verdict, metric)[-1]


def on(machine: str, speed: float, of: Deployment = REAL, **versions: str) -> AcceptedSession:
    """A stored session of a machine; its memory is the good run's."""
    values = {"decode_tps": [speed], "peak_memory_bytes": [5.79e9]}
    return earlier_session(trials(values, of), replace(MACHINE, identifier=machine), **versions)
