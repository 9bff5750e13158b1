"""One row of the report for each deployment."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from qualification.core.protocol import LoadReport
from qualification.core.results import Check, Finding, Machine, Results, Trial, Verdict
from qualification.judging.verdicts import is_valid
from qualification.models.registry import Registry
from qualification.models.roofline import Roofline, roofline
from qualification.servers.load_figures import UnderLoad, under_load

PARTS = (
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
"""What the table of parts shows."""


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
    bound_tps: float | None
    checks: tuple[Check, ...]
    parts: dict[str, tuple[float, ...]]
    """Metric of :data:`PARTS` -> its raw trials, for those that were measured."""
    rejected: str = ""
    under_load: tuple[UnderLoad, ...] = ()
    """What several clients of a server at once saw; nothing of any other deployment."""

    @property
    def advice(self) -> str:
        """That of the verdict; what answers wrongly for a known reason is not called usable."""
        known = ("test_answers_held_out_questions", "xfailed")
        if self.verdict.advice == "usable" and known in {(c.test, c.outcome) for c in self.checks}:
            return "answers wrongly, a known bug"
        return self.verdict.advice

    @property
    def variation(self) -> float | None:
        """Standard deviation over mean of the decoding speed."""
        if len(self.decode_tps) < 2:
            return None
        return statistics.stdev(self.decode_tps) / statistics.mean(self.decode_tps)

    @property
    def share_of_bound(self) -> float | None:
        """Median decoding speed over what the memory bandwidth allows."""
        if not self.decode_tps or not self.bound_tps:
            return None
        return statistics.median(self.decode_tps) / self.bound_tps

    @property
    def why(self) -> tuple[str, ...]:
        """What speaks against the deployment, else what could not be decided; worst first."""
        findings = self.findings
        if self.rejected:
            return (self.rejected,)
        if self.verdict.name == "unfit":
            return tuple(f.sentence for f in self.verdict.findings if f.metric == "conditions")
        for status in ("fail", "suspect", "warn"):
            if found := tuple(f.sentence for f in findings if f.status == status):
                return found
        # Where no bandwidth is declared, that is said once under the table.
        unknown = [f for f in findings if f.status == "unknown"]
        if self.bound_tps is None:
            unknown = [f for f in unknown if f.metric != "decode_tps"]
        if unknown:
            return tuple(f.sentence for f in unknown)
        return ("Every check and budget that can be judged here is kept.",)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The verdict's findings, without the state of the machine, which is said once for all."""
        return tuple(f for f in self.verdict.findings if f.metric != "conditions")

    @property
    def problems(self) -> tuple[Check, ...]:
        """Checks that failed, or that a known bug makes fail, or that no longer fail."""
        return tuple(check for check in self.checks if check.outcome not in ("passed", "skipped"))

    @property
    def counts(self) -> str:
        """For example ``13 passed, 1 skipped``."""
        outcomes = [check.outcome for check in self.checks]
        return ", ".join(
            f"{outcomes.count(name)} {name}"
            for name in ("passed", "failed", "error", "xfailed", "xpassed", "skipped")
            if name in outcomes
        )


def rows(results: Results, registry: Registry) -> tuple[Row, ...]:
    """The comparison table, in the order of the verdicts.

    A deployment that is no longer declared keeps its row, but has no bound. A record with a speed
    over its bound is rejected: none of its speeds is shown, a sentence stands in their place.
    """
    declared = {
        deployment.identifier: deployment
        for known in (registry, registry.with_weights("synthetic"))
        for deployment in known.deployments()
    }
    table = []
    for verdict in results.verdicts:
        identifier = verdict.deployment
        deployment = declared.get(identifier)

        def values(metric: str, of: str = identifier) -> tuple[float, ...]:
            return tuple(
                t.value
                for t in results.trials
                if (t.deployment, t.metric) == (of, metric) and is_valid(t)
            )

        roof = roofline(deployment, results.session.machine) if deployment else Roofline(0.0)
        rejected = roof.rejects(values("decode_tps"))
        table.append(
            Row(
                identifier=identifier,
                is_canary=deployment is not None and deployment.source.weights == "canary",
                is_synthetic=deployment is not None and deployment.source.weights == "synthetic",
                verdict=verdict,
                load=results.load_reports.get(identifier),
                load_s=values("load_s"),
                ttft_s=values("ttft_s"),
                decode_tps=() if rejected else values("decode_tps"),
                peak_memory_bytes=values("peak_memory_bytes"),
                accuracy=values("accuracy"),
                bound_tps=roof.bound_tps or None,
                checks=tuple(c for c in results.checks if c.deployment == identifier),
                parts={metric: found for metric in PARTS if (found := values(metric))},
                rejected=rejected,
                under_load=under_load(values),
            )
        )
    return tuple(table)


def rejected(identifier: str, trials: Sequence[Trial], machine: Machine, registry: Registry) -> str:
    """One sentence where a decoding speed among the trials is over its bound, else ''."""
    declared = {one.identifier: one for one in registry.deployments()}
    if identifier not in declared:
        return ""
    speeds = [t.value for t in trials if t.metric == "decode_tps" and is_valid(t)]
    return roofline(declared[identifier], machine).rejects(speeds)
