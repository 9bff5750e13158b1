"""A gate's result in files: Markdown, HTML, JSON, JUnit, a summary for a CI job.

No figure is computed here but medians, and those of observations only. The text of a model or a
library is hostile: everything that goes into HTML is disarmed and escaped, ``plain`` disarms it in
Markdown, and the JUnit file holds no character that XML 1.0 forbids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from qualification.core.declarations import KnownBug
from qualification.core.errors import GateError
from qualification.core.protocol import to_json
from qualification.core.text import disarm
from qualification.core.validation import first_problem
from qualification.documents import render as documents
from qualification.documents.junit import Case
from qualification.documents.junit import junit as documents_junit
from qualification.results.markdown import plain
from qualification.upgrade.gate import wording as view
from qualification.upgrade.gate.document import gate_document
from qualification.upgrade.gate.records import (
    GATE_SCHEMA_VERSION,
    GateResult,
    GateVerdict,
)

NAMES = ("gate.md", "gate.html", "gate.json", "gate.xml")

# --------------------------------------------------------------------------- rendering


def render(result: GateResult, bugs: Sequence[KnownBug] = ()) -> dict[str, str]:
    """File name -> text of each document. Raises jinja2's errors for a broken template.

    ``bugs`` are the declared ones, of which those that may explain a finding are named.
    """
    forms = documents.render(gate_document(result, bugs))
    pages = {name: forms[name] for name in NAMES[:2]}
    return pages | {"gate.json": to_text(result), "gate.xml": junit(result)}


def summary(result: GateResult, bugs: Sequence[KnownBug] = ()) -> str:
    """Short Markdown for the page of a CI job, to be appended to ``$GITHUB_STEP_SUMMARY``."""
    plan = result.plan
    lines = [
        f"## {_symbol(result)} {result.verdict}: {plain(plan.a.name)} → {plain(plan.b.name)}",
        "",
        f"{plain(result.sentence)} ({plain(view.moved(plan))}.)",
    ]
    if problems := view.problems(result):
        lines += ["", "| verdict | why |", "|---|---|"]
        lines += [f"| **{problem.verdict}** | {plain(problem.sentence)} |" for problem in problems]
    if notes := view.notes(result):
        lines += ["", "Notes:", ""]
        lines += [f"- {finding.note}: {plain(finding.sentence)}" for finding in notes]
    if sentences := view.known_bugs(result, bugs):
        lines += ["", "Known bugs that may explain it:", ""]
        lines += [f"- {plain(sentence)}" for sentence in sentences]
    if sentences := view.pins(result):
        lines += ["", "By the map of releases:", ""]
        lines += [f"- {plain(sentence)}" for sentence in sentences]
    findings = view.findings(result)
    passed = sum(finding.verdict == "pass" for finding in findings)
    lines += [
        "",
        f"{passed} of {len(findings)} checks and metrics passed; "
        f"deployments: {len(plan.deployments)}, pairs: {len(result.pairs)}, seed: {plan.seed}.",
    ]
    return "\n".join(lines) + "\n"


def _symbol(result: GateResult) -> str:
    return {"pass": "✅", "regressed": "❌"}.get(result.verdict, "⚠️")


# --------------------------------------------------------------------------- JUnit


def junit(result: GateResult) -> str:
    """JUnit's XML: a suite per deployment, a case per check and metric, and the gate as a whole.

    A regression is a failure. An undecided case is an error, so that no CI shows it green; a check
    that fails on both sides is skipped. Times are seconds.
    """
    plan = result.plan
    suites = [("gate", [_case("verdict", result.verdict, result.sentence)])]
    for name in plan.identifiers:
        cases = [
            _case(view.subject(finding), finding.verdict, finding.sentence, finding.note)
            for finding in view.findings(result)
            if finding.deployment == name
        ]
        nothing = "It was not observed in both environments."
        suites.append((name, cases or [_case("load", "inconclusive", nothing)]))
    return documents_junit(
        f"{plan.a.name} -> {plan.b.name}", suites, started=plan.started, wall_s=result.wall_s
    )


def _case(name: str, verdict: GateVerdict, sentence: str, note: str = "") -> Case:
    if verdict == "regressed":
        return Case(name, "failure", sentence, verdict)
    if verdict != "pass":
        return Case(name, "error", sentence, verdict)
    if note == "both fail":
        return Case(name, "skipped", sentence, note)
    return Case(name, "passed", f"{note}: {sentence}" if note else "")


# --------------------------------------------------------------------------- JSON


@dataclass(frozen=True)
class _Document:
    """The content of gate.json."""

    # Nested dataclasses inherit this.
    __pydantic_config__ = ConfigDict(extra="forbid")

    schema_version: int
    result: GateResult


_MAY_BE_NONE = ("effect", "growth", "bandwidth")


def to_text(result: GateResult) -> str:
    """gate.json: everything, in strict JSON. A number that is not finite is null."""
    document = {"schema_version": GATE_SCHEMA_VERSION, "result": _finite(to_json(result))}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_infinities(value: Any, key: str = "") -> Any:
    """The inverse of :func:`_finite`: an upper bound was infinite, any other number NaN."""
    if isinstance(value, dict):
        return {name: _with_infinities(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [_with_infinities(part) for part in value]
    if value is None and key not in _MAY_BE_NONE:
        return math.inf if key == "upper" else math.nan
    return value


def read_result(path: Path) -> GateResult:
    """The result in a gate.json; GateError, with file and key, for any other content.

    A null number is read back as infinity where it is an upper bound, as NaN elsewhere.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GateError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise GateError(f"{path}: is not JSON: {disarm(str(error), 200)}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != GATE_SCHEMA_VERSION or isinstance(version, bool):
        raise GateError(
            f"{path}: schema_version: this release reads version {GATE_SCHEMA_VERSION}, "
            f"not {version!r}"
        )

    try:
        return TypeAdapter(_Document).validate_python(_with_infinities(document)).result
    except ValidationError as error:
        raise GateError(disarm(f"{path}: {first_problem(error, 'document')}")) from error
