"""Renders the recommendation documents with Jinja2 from one stored session.

No figure is typed in: each one is derived from stored raw trials. Texts of models and libraries are
hostile: Jinja2 escapes them in HTML, ``plain`` disarms them in Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qualification import __version__
from qualification.core.declarations import KnownBug
from qualification.core.format import (
    bytes_text,
    change_text,
    count_text,
    installed_memory_text,
    number,
    percent_text,
    quantity_text,
    revision_text,
    seconds_text,
)
from qualification.core.results import Results
from qualification.judging.stats.estimators import median
from qualification.machine.tiers import tier_of
from qualification.models.known_bugs import how_to_end, in_range
from qualification.models.registry import Registry
from qualification.models.suitability import suitability
from qualification.results.capability_table import matrices
from qualification.results.closing import sentence
from qualification.results.conformance_table import conformance
from qualification.results.first_screen import first_screen
from qualification.results.fit_tables import fits, machine_allowances, projections
from qualification.results.markdown import code, plain
from qualification.results.rows import rows
from qualification.servers.load_figures import LEAST_SAMPLES, LEAST_TOKENS

TEMPLATES = Path(__file__).resolve().parent / "templates"
NAMES = ("recommendations.md", "recommendations.html")


def render(results: Results, registry: Registry, *, templates: Path = TEMPLATES) -> dict[str, str]:
    """File name -> text of each document. Raises jinja2's errors for a broken template."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        seconds=seconds_text,
        size=bytes_text,
        memory=installed_memory_text,
        rate=number,
        count=count_text,
        share=percent_text,
        change=change_text,
        quantity=quantity_text,
        revision=revision_text,
        middle=_median,
        plain=plain,
        code=code,
    )
    context = _context(results, registry)
    return {name: environment.get_template(f"{name}.j2").render(context) for name in NAMES}


def _context(results: Results, registry: Registry) -> dict[str, Any]:
    """The values that the templates show, by their name there."""
    table = rows(results, registry)
    machine = results.session.machine
    tier = tier_of(machine, registry.tiers)
    measured = {row.identifier for row in table}
    allowances = machine_allowances(registry, machine)
    single, combined = fits(registry, allowances)
    return {
        "results": results,
        "session": results.session,
        "machine": machine,
        "tier": tier,
        "rows": table,
        "closing": sentence(table),
        "first_screen": first_screen(results, table, registry),
        "untested": [
            deployment
            for deployment in registry.deployments()
            if deployment.source.weights == "hub"
            and deployment.identifier not in measured
            and suitability(deployment, machine, tier, registry).meant
        ],
        "allowances": allowances,
        "fits": single,
        "combined": combined,
        "projections": projections(table, machine, registry),
        "matrices": matrices(results.checks, registry.deployments()),
        "conformance": conformance(results.checks, registry.deployments(), registry.bugs),
        "known_bugs": [{"bug": bug, "state": _state(bug, results)} for bug in registry.bugs],
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


def _state(bug: KnownBug, results: Results) -> str:
    """Whether a known bug applies to this session's environment, and whether it showed."""
    outcomes = {check.outcome for check in results.checks if check.known_bug == bug.identifier}
    if "xpassed" in outcomes:
        return f"no longer fails: {how_to_end()}"
    if "xfailed" in outcomes:
        return "seen again in this session"
    if outcomes:
        return "in range, but failed in another way or did not run"
    version = results.session.environment.versions.get(bug.package, "")
    if in_range(version, bug.versions):
        return f"in range ({bug.package} {version}), not tried in this session"
    return f"not in range: {bug.package} {version or 'is not installed'}"


def _median(values: Sequence[float] | None) -> float | None:
    return median(values) if values else None
