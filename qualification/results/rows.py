"""One row of the report for each deployment."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from qualification.core.declarations import Deployment
from qualification.core.metric_types import Metric
from qualification.core.metrics import OUTSIDE_METRICS
from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Finding, Machine, Results, Trial, Verdict
from qualification.judging.stats.estimators import coefficient_of_variation, median
from qualification.judging.verdicts import is_valid
from qualification.models.registry import Registry
from qualification.models.roofline import Roofline, roofline
from qualification.servers.load_figures import UnderLoad, under_load

PHASE_METRICS = (
    "e2e_s",
    "prompt_tokens",
    "image_tokens",
    "preprocess_s",
    "vision_encode_s",
    "prefill_s",
    "prefill_tps",
    "load_cold_s",
    "peak_device_bytes",
    "token_drift",
    "sentinel_drift",
    "sustained_decode_tps",
)
"""The metrics of the phases of a request, and of long runs."""

QUALITY_METRICS = (
    "vqa_accuracy",
    "simple_accuracy",
    "generated_vqa_accuracy",
    "generated_simple_accuracy",
    "context_retention",
    "context_without_image",
    "diagram_recall",
    "diagram_hallucinations",
    "diagram_repetition",
    "diagram_truncated",
)
"""What is measured of answers, beyond the accuracy."""

ANSWER_SUITES = ("quality", "vqa")
"""Suites whose known bugs are wrong answers; others' (an image format) are told elsewhere."""

_MOST_QUESTIONS = 100_000
"""A session that says it asked more is not believed: results come from elsewhere too."""


@dataclass(frozen=True)
class Row:
    """One deployment in the comparison table; None where nothing was measured."""

    identifier: str
    is_canary: bool
    is_synthetic: bool
    verdict: Verdict
    load: LoadReport | None
    load_s: tuple[float, ...]
    ttft_s: tuple[float, ...]
    decode_tps: tuple[float, ...]
    peak_memory_bytes: tuple[float, ...]
    accuracy: tuple[float, ...]
    roofline_tps: float | None
    checks: tuple[Check, ...]
    phases: dict[str, tuple[float, ...]]
    """Metric of :data:`PHASE_METRICS` -> its raw trials, for those that were measured."""
    rejected: str = ""
    untried: int = 0
    """Tests of it that were selected and not tried."""
    under_load: tuple[UnderLoad, ...] = ()
    """A server's figures with several clients at once; empty for any other deployment."""
    questions: int = 0
    """Of how many its accuracy is the share; 0 where that was not kept, or cannot be."""
    is_declared: bool = True
    """False: stored, and declared no longer, so neither its weights nor its roofline are known."""
    quality: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Metric of :data:`QUALITY_METRICS` -> its raw trials, for those that were measured."""
    registered: tuple[tuple[Metric, tuple[float, ...]], ...] = ()
    """Metrics that other packages register, with a label, and their raw trials."""

    @property
    def advice(self) -> str:
        """The verdict's advice; wrong answers for a known reason are never called usable."""
        is_wrong = any(
            check.outcome == "xfailed" and check.suite in ANSWER_SUITES for check in self.checks
        )
        if self.verdict.advice in ("usable", "recommended") and is_wrong:
            return "answers wrongly, a known bug"
        return self.verdict.advice

    @property
    def commit(self) -> str:
        """The commit of the hub that was measured, in full; '' for files without one."""
        revision = self.load.revision if self.load else ""
        return revision if re.fullmatch("[0-9a-f]{40}", revision) else ""

    @property
    def variation(self) -> float | None:
        """Coefficient of variation of the decoding speed."""
        return coefficient_of_variation(self.decode_tps) if len(self.decode_tps) > 1 else None

    @property
    def share_of_roofline(self) -> float | None:
        """Median decoding speed over the speed that the memory bandwidth allows."""
        if not self.decode_tps or not self.roofline_tps:
            return None
        return median(self.decode_tps) / self.roofline_tps

    @property
    def drift(self) -> str:
        """Why its speed is not judged, where it changed under way; '' where it did not."""
        reasons = (f.sentence for f in self.verdict.findings if f.metric == "conditions")
        return next((sentence for sentence in reasons if " drift was " in sentence), "")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The verdict's findings without the machine's state, which the report shows once."""
        return tuple(f for f in self.verdict.findings if f.metric != "conditions")

    @property
    def problems(self) -> tuple[Check, ...]:
        """Checks that failed, or that a known bug makes fail, or that no longer fail."""
        return tuple(check for check in self.checks if check.outcome not in ("passed", "skipped"))


Values = Callable[[str], tuple[float, ...]]
"""Metric -> valid raw trials of one deployment, in order."""


def rows(results: Results, registry: Registry) -> tuple[Row, ...]:
    """The comparison table, in the order of the verdicts.

    A deployment that is no longer declared has a row, but no roofline. A record with a speed over
    its roofline is rejected: none of its speeds is shown, a sentence stands in their place.
    """
    declared = {
        deployment.identifier: deployment
        for declarations in (registry, registry.with_weights("synthetic"))
        for deployment in declarations.deployments()
    }
    trials = _valid_trials(results.trials)
    checks: dict[str, list[Check]] = {}
    for check in results.checks:
        checks.setdefault(check.deployment, []).append(check)

    def values_of(identifier: str) -> Values:
        return lambda metric: tuple(trials.get((identifier, metric), ()))

    return tuple(
        _row(
            verdict,
            declared.get(verdict.deployment),
            results.session.machine,
            values_of(verdict.deployment),
            tuple(checks.get(verdict.deployment, ())),
            results.load_reports.get(verdict.deployment),
            results.session.untried.get(verdict.deployment, 0),
        )
        for verdict in results.verdicts
    )


def _valid_trials(trials: Sequence[Trial]) -> Mapping[tuple[str, str], list[float]]:
    """(Deployment, metric) -> valid values, in order."""
    values: dict[tuple[str, str], list[float]] = {}
    for trial in trials:
        if is_valid(trial):
            values.setdefault((trial.deployment, trial.metric), []).append(trial.value)
    return values


def _row(
    verdict: Verdict,
    deployment: Deployment | None,
    machine: Machine,
    values: Values,
    checks: tuple[Check, ...],
    load: LoadReport | None,
    untried: int,
) -> Row:
    weights = deployment.source.weights if deployment else ""
    read = load.decode_bytes if load else 0
    roof = roofline(deployment, machine, read) if deployment else Roofline(0.0)
    rejected = roof.rejects(values("decode_tps"))
    return Row(
        identifier=verdict.deployment,
        is_canary=weights == "canary",
        is_synthetic=weights == "synthetic",
        verdict=verdict,
        load=load,
        load_s=values("load_s"),
        ttft_s=values("ttft_s"),
        decode_tps=() if rejected else values("decode_tps"),
        peak_memory_bytes=values("peak_memory_bytes"),
        accuracy=values("accuracy"),
        roofline_tps=roof.bound_tps or None,
        checks=checks,
        phases={metric: trials for metric in PHASE_METRICS if (trials := values(metric))},
        rejected=rejected,
        untried=untried,
        under_load=under_load(values),
        questions=next(
            (int(count) for count in values("accuracy_questions") if 1 <= count <= _MOST_QUESTIONS),
            0,
        ),
        is_declared=deployment is not None,
        quality={metric: trials for metric in QUALITY_METRICS if (trials := values(metric))},
        registered=tuple(
            (metric, trials)
            for metric in OUTSIDE_METRICS.values()
            if metric.label and (trials := values(metric.name))
        ),
    )


def rejected(identifier: str, results: Results, registry: Registry) -> str:
    """One sentence where a deployment's decoding speed is over its roofline, else ''."""
    declared = {deployment.identifier: deployment for deployment in registry.deployments()}
    if identifier not in declared:
        return ""
    speeds = _valid_trials(results.trials).get((identifier, "decode_tps"), [])
    load = results.load_reports.get(identifier)
    read = load.decode_bytes if load else 0
    return roofline(declared[identifier], results.session.machine, read).rejects(speeds)
