"""How a gate's result is shown in files: Markdown, HTML, JSON, JUnit, a summary for a CI job.

No figure is made here but medians, and those of observations only. What a model or a library said
is hostile text: everything that goes into HTML is disarmed and escaped, ``plain`` disarms it in
Markdown, and the JUnit file holds no character that XML 1.0 forbids.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from pydantic import ConfigDict, TypeAdapter, ValidationError

from qualification import __version__
from qualification.core.errors import GateError
from qualification.core.files import write as write
from qualification.core.metrics import GATE_LIMITS
from qualification.core.protocol import to_json
from qualification.core.text import disarm
from qualification.results.markdown import code, plain
from qualification.results.report import TEMPLATES, memory, share
from qualification.upgrade.gate import wording as view
from qualification.upgrade.gate.records import (
    CHECKS,
    GATE_SCHEMA_VERSION,
    GateResult,
    GateVerdict,
    Pair,
)

NAMES = ("gate.md", "gate.html", "gate.json", "gate.xml")
SAID = 600
"""Characters of a text that are shown in HTML and JUnit; gate.json has all of it."""

ANSWERS = 12
"""Answers of a deployment that are shown side by side."""

# --------------------------------------------------------------------------- rendering


def render(result: GateResult, *, templates: Path = TEMPLATES) -> dict[str, str]:
    """File name -> text of each document. Raises jinja2's errors for a broken template."""
    context = _context(result)
    documents = {
        name: _environment(templates, html=name.endswith(".html"))
        .get_template(f"{name}.j2")
        .render(context)
        for name in NAMES[:2]
    }
    return documents | {"gate.json": to_text(result), "gate.xml": junit(result)}


def _context(result: GateResult) -> dict[str, Any]:
    plan = result.plan
    behaviour = {(one.deployment, one.check): one for one in result.behaviour}
    return {
        "result": result,
        "plan": plan,
        "machine": plan.machine,
        "differences": view.differences(plan),
        "problems": view.problems(result),
        "notes": view.notes(result),
        "moved": view.moved(plan),
        "metrics": {
            one: [finding for finding in result.metrics if finding.deployment == one]
            for one in dict.fromkeys(finding.deployment for finding in result.metrics)
        },
        "checks": view.checks(result),
        "meanings": {name: CHECKS.get(name.partition("[")[0], "") for name in view.checks(result)},
        "behaviour": {
            one: [view.behaviour_cell(behaviour.get((one, check))) for check in view.checks(result)]
            for one in plan.deployments
        },
        "pairs": {
            one: sorted((p for p in result.pairs if p.deployment == one), key=_number)
            for one in dict.fromkeys(pair.deployment for pair in result.pairs)
        },
        "answers": {
            one: found
            for one in plan.deployments
            if (found := view.answers_that_differ(result, one))
        },
        "limits": {name: GATE_LIMITS[name] for name in plan.metrics if name in GATE_LIMITS},
        "unfit": [condition for condition in plan.conditions if not condition.fit],
        "canaries": [one for one in plan.deployments if "-canary" in one],
        "synthetic": [one for one in plan.deployments if "-synthetic" in one],
        "labels": view.LABELS,
        "most_answers": ANSWERS,
        "harness_version": __version__,
    }


def _number(pair: Pair) -> int:
    return pair.number


@lru_cache(maxsize=4)
def _environment(templates: Path, *, html: bool) -> Any:
    import jinja2
    from markupsafe import Markup

    def harmless(value: Any) -> Any:
        # Markup is what a template of ours made itself: its parts have been through here.
        is_text = isinstance(value, str) and not isinstance(value, Markup)
        return disarm(value, SAID) if is_text else value

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        finalize=harmless if html else None,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        quantity=view.quantity,
        raw=view.raw,
        duration=view.duration,
        factor=view.factor,
        detectable=view.detectable,
        place=view.place,
        typical=view.typical,
        memory=memory,
        share=share,
        plain=plain,
        code=_code,
        about=view.about,
        word=view.metric_word,
    )
    return environment


def _code(text: object) -> str:
    """For a code span in a table."""
    return code(disarm(str(text), SAID)).replace("|", "\\|")


def summary(result: GateResult) -> str:
    """Short Markdown for the page of a CI job, to be appended to ``$GITHUB_STEP_SUMMARY``."""
    plan = result.plan
    lines = [
        f"## {_mark(result)} {result.verdict}: {plain(plan.a.name)} → {plain(plan.b.name)}",
        "",
        f"{plain(result.sentence)} ({plain(view.moved(plan))}.)",
    ]
    if view.problems(result):
        lines += ["", "| verdict | why |", "|---|---|"]
        lines += [f"| **{one.verdict}** | {plain(one.sentence)} |" for one in view.problems(result)]
    if view.notes(result):
        lines += ["", "Notes:", ""]
        lines += [f"- {one.note}: {plain(one.sentence)}" for one in view.notes(result)]
    every = view.findings(result)
    passed = sum(finding.verdict == "pass" for finding in every)
    lines += [
        "",
        f"{passed} of {len(every)} checks and metrics passed; "
        f"deployments: {len(plan.deployments)}, pairs: {len(result.pairs)}, seed: {plan.seed}.",
    ]
    return "\n".join(lines) + "\n"


def _mark(result: GateResult) -> str:
    return {"pass": "✅", "regressed": "❌"}.get(result.verdict, "⚠️")


# --------------------------------------------------------------------------- JUnit


def junit(result: GateResult) -> str:
    """JUnit's XML: a suite per deployment, a case per check and metric, and the gate as a whole.

    A regression is a failure. What could not be decided is an error, so that no CI shows it green;
    what fails on both sides or was not compared is skipped. Times are seconds.
    """
    plan = result.plan
    suites = [("gate", [_case("gate", "verdict", result.verdict, result.sentence)])]
    for deployment in plan.deployments:
        cases = [
            _case(deployment, view.about(one), one.verdict, one.sentence, one.note)
            for one in view.findings(result)
            if one.deployment == deployment
        ]
        nothing = "No observation of both environments was made."
        suites.append((deployment, cases or [_case(deployment, "load", "inconclusive", nothing)]))
    root = ElementTree.Element(
        "testsuites", name=disarm(f"{plan.a.name} -> {plan.b.name}"), time=_time(result.wall_s)
    )
    _count(root, [case for _, cases in suites for case in cases])
    for name, cases in suites:
        suite = ElementTree.SubElement(
            root, "testsuite", name=disarm(name), timestamp=disarm(plan.started)
        )
        _count(suite, cases)
        suite.extend(cases)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def _case(
    deployment: str, name: str, verdict: GateVerdict, sentence: str, note: str = ""
) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=disarm(deployment), name=disarm(name))
    text = disarm(sentence, SAID)
    if verdict == "regressed":
        ElementTree.SubElement(case, "failure", type=verdict, message=text).text = text
    elif verdict != "pass":
        ElementTree.SubElement(case, "error", type=verdict, message=text).text = text
    elif note in ("both fail", "not compared"):
        ElementTree.SubElement(case, "skipped", message=f"{note}: {text}")
    elif note:
        ElementTree.SubElement(case, "system-out").text = f"{note}: {text}"
    return case


def _count(element: ElementTree.Element, cases: Sequence[ElementTree.Element]) -> None:
    element.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _time(value: float) -> str:
    return f"{value if math.isfinite(value) else 0:.3f}"


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
    document = {"schema_version": GATE_SCHEMA_VERSION, "result": _without_infinities(result)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _without_infinities(result: GateResult) -> Any:
    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): walk(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [walk(one) for one in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return walk(to_json(result))


def read_result(path: Path) -> GateResult:
    """The result in a gate.json; GateError, with file and key, for anything but a whole one.

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

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: walk(one, name) for name, one in value.items()}
        if isinstance(value, list):
            return [walk(one) for one in value]
        if value is None and key not in _MAY_BE_NONE:
            return math.inf if key == "upper" else math.nan
        return value

    try:
        return TypeAdapter(_Document).validate_python(walk(document)).result
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "document"
        raise GateError(disarm(f"{path}: {key}: {first['msg']}")) from error
