"""Renders the recommendation documents with Jinja2 from what one session left.

No figure is written here: each one is derived from stored raw trials. What a model or a library
said is hostile text: Jinja2 escapes it in HTML, ``plain`` disarms it in Markdown.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qualification import __version__
from qualification.core.results import Results
from qualification.models.known_bugs import in_range
from qualification.models.registry import Registry
from qualification.results.capability_table import matrices
from qualification.results.conformance_table import conformance
from qualification.results.fit_tables import fit_rooms, fits, projections
from qualification.results.markdown import code, plain
from qualification.results.rows import rows
from qualification.servers.load_figures import LEAST_SAMPLES, LEAST_TOKENS

TEMPLATES = Path(__file__).resolve().parent / "templates"
NAMES = ("recommendations.md", "recommendations.html")


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
