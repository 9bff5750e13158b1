"""Renders the recommendation documents with Jinja2 from what one session left.

No figure is written here: each one is derived from stored raw trials. What a model or a library
said is hostile text: Jinja2 escapes it in HTML, ``plain`` disarms it in Markdown.
"""

from __future__ import annotations

import contextlib
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualification import __version__
from qualification.concurrency_figures import LEAST_SAMPLES, LEAST_TOKENS, UnderLoad, under_load
from qualification.conformance import conformance
from qualification.errors import SelectionError
from qualification.footprint import Footprint, Term
from qualification.judge import is_valid
from qualification.matrix import matrices
from qualification.plan import Answer, Room, in_range, predict, room, rooms
from qualification.projection import Projection, project
from qualification.records import Check, Finding, LoadReport, Machine, Results, Trial, Verdict
from qualification.registry import Registry
from qualification.roofline import Roofline, roofline

TEMPLATES = Path(__file__).resolve().parent.parent / "reports/templates"
NAMES = ("recommendations.md", "recommendations.html")
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


def render(results: Results, registry: Registry, *, templates: Path = TEMPLATES) -> dict[str, str]:
    """File name -> text of each document. Raises jinja2's errors for a broken template."""
    import jinja2

    table = rows(results, registry)
    machine = results.session.machine
    tier = next((tier for tier in registry.tiers if tier.name == machine.tier), None)
    ran = {row.identifier for row in table}
    untested = [
        deployment
        for deployment in registry.deployments()
        if machine.tier in deployment.source.tiers and deployment.identifier not in ran
    ]
    places = fit_rooms(registry, machine)
    single, combined = fits(registry, places)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        seconds=seconds,
        size=size,
        memory=memory,
        rate=rate,
        share=share,
        change=change,
        middle=middle,
        plain=plain,
        code=code,
    )
    context: dict[str, Any] = {
        "results": results,
        "session": results.session,
        "machine": machine,
        "tier": tier,
        "rows": table,
        "untested": untested,
        "rooms": places,
        "fits": single,
        "combined": combined,
        "projections": projections(table, results, registry),
        "matrices": matrices(results.checks, registry.deployments()),
        "conformance": conformance(results.checks, registry.deployments(), registry.bugs),
        "known_bugs": _known_bugs(results, registry),
        "unfit": [condition for condition in results.session.conditions if not condition.fit],
        "by_advice": {
            advice: [row for row in table if row.advice == advice]
            for advice in dict.fromkeys(row.advice for row in table)
        },
        "all_canaries": all(row.is_canary for row in table),
        "any_synthetic": any(row.is_synthetic for row in table),
        "harness_version": __version__,
        "least_tokens": LEAST_TOKENS,
        "least_samples": LEAST_SAMPLES,
    }
    return {name: environment.get_template(f"{name}.j2").render(context) for name in NAMES}


def write(documents: dict[str, str], folder: Path) -> list[Path]:
    """Write each document whole or not at all; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, text in documents.items():
        file = folder / name
        draft = file.with_name(f".{name}.draft")
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
        files.append(file)
    return files


@dataclass(frozen=True)
class Fit:
    """One real deployment: its predicted peak, and the answer for each machine of ``fit_rooms``."""

    footprint: Footprint
    answers: tuple[tuple[Answer, float], ...]


def fit_rooms(registry: Registry, machine: Machine) -> tuple[Room, ...]:
    """This machine, and the smallest and largest one of each tier that is meant for pictures."""
    tier = next((tier for tier in registry.tiers if tier.name == machine.tier), None)
    own = (room("this machine", tier, machine.memory_bytes),) if machine.memory_bytes > 0 else ()
    return (*own, *(each for one in registry.tiers if one.vision for each in rooms(one)))


def fits(registry: Registry, places: Sequence[Room]) -> tuple[tuple[Fit, ...], tuple[Fit, ...]]:
    """Each real deployment, and each declared combination, on each of these machines."""

    def fit(name: str, parts: Sequence[Footprint]) -> Fit:
        terms = tuple(Term(one.deployment, one.total_bytes, "together") for one in parts)
        whole = parts[0] if len(parts) == 1 else Footprint(name, terms)
        need = whole.total_bytes
        answers = tuple((place.answer(need), place.limit_bytes - need) for place in places)
        return Fit(whole, answers)

    real = [one for one in registry.deployments() if one.source.weights != "canary"]
    single = tuple(fit(one.identifier, [predict(one, registry)]) for one in real)
    combined = tuple(
        fit(one.name, [predict(registry.deployment(name), registry) for name in one.deployments])
        for one in registry.together
    )
    return single, combined


def projections(
    table: Sequence[Row], results: Results, registry: Registry
) -> tuple[Projection, ...]:
    """Measured speeds carried to the deployment's other tiers, where both bounds are known."""
    declared = {one.identifier: one for one in registry.deployments()}
    found = []
    for row in table:
        if row.identifier not in declared or not row.decode_tps or not row.bound_tps:
            continue
        deployment = declared[row.identifier]
        for name in deployment.source.tiers:
            if name != results.session.machine.tier:
                with contextlib.suppress(SelectionError):
                    found.append(
                        project(
                            deployment,
                            row.decode_tps,
                            results.session.machine,
                            registry.tier(name),
                            registry,
                        )
                    )
    return tuple(found)


def _known_bugs(results: Results, registry: Registry) -> list[dict[str, Any]]:
    versions = results.session.environment.versions
    found = []
    for bug in registry.bugs:
        seen = [check for check in results.checks if check.known_bug == bug.identifier]
        version = versions.get(bug.package, "")
        state = f"not in range: {bug.package} {version or 'is not installed'}"
        if in_range(version, bug.versions):
            state = f"in range ({bug.package} {version}), not tried in this session"
        if any(check.outcome == "xpassed" for check in seen):
            state = "no longer fails: end its range in bugs.toml"
        elif any(check.outcome == "xfailed" for check in seen):
            state = "seen again in this session"
        elif seen:
            state = "in range, but failed in another way or did not run"
        found.append({"bug": bug, "state": state})
    return found


def middle(values: Sequence[float] | None) -> float | None:
    """The median, or None of nothing."""
    return statistics.median(values) if values else None


def seconds(value: float | None) -> str:
    """``35 ms`` or ``5.80 s``; ``–`` for None."""
    if value is None:
        return "–"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def size(value: float | None) -> str:
    """Decimal megabytes or gigabytes; ``–`` for None."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"


def memory(value: float) -> str:
    """Installed memory as machines are sold: ``32 GiB``."""
    return f"{value / 2**30:.1f}".removesuffix(".0") + " GiB"


def rate(value: float | None) -> str:
    """Three digits; ``–`` for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def share(value: float | None) -> str:
    """Per cent; ``–`` for None."""
    return "–" if value is None else f"{value:.1%}"


def change(ratio: float | None) -> str:
    """A ratio as per cent more or less: ``+12.0%``; ``–`` for None."""
    return "–" if ratio is None else f"{ratio - 1:+.1%}"


_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~$])")


def plain(text: object) -> str:
    """Hostile text as one harmless line of Markdown: no markup, no HTML, no line breaks."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) > 400:
        line = line[:400] + "…"
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


def code(text: object) -> str:
    """Text for a code span of Markdown, which has no escapes: one line without backticks."""
    return " ".join(str(text).replace("`", "'").split()) or "everything"
