"""JUnit's XML: what a CI job shows as tests. It holds no character that XML 1.0 forbids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from qualification.core.results import Results
from qualification.core.text import disarm
from qualification.documents.spans import LONGEST


@dataclass(frozen=True)
class Case:
    """A test and its outcome; ``reason`` is the word for a failure, a ``text`` may be hostile."""

    name: str
    outcome: Literal["passed", "failure", "error", "skipped"]
    text: str = ""
    reason: str = ""


def junit(
    name: str,
    suites: Sequence[tuple[str, Sequence[Case]]],
    *,
    started: str = "",
    wall_s: float = 0.0,
) -> str:
    """A file of all suites, each with its name; ``wall_s`` is the whole, in seconds."""
    root = ElementTree.Element("testsuites", name=disarm(name), time=_seconds(wall_s))
    _count(root, [case for _, cases in suites for case in cases])
    for suite_name, cases in suites:
        suite = ElementTree.SubElement(
            root, "testsuite", name=disarm(suite_name), timestamp=disarm(started)
        )
        _count(suite, cases)
        suite.extend(_element(suite_name, case) for case in cases)
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'


def session_junit(results: Results) -> str:
    """A suite for each deployment: its verdict, then its checks.

    A known bug that showed is skipped, as pytest has it. What was not decided is an error, so that
    no job shows it green.
    """
    suites = []
    for verdict in results.verdicts:
        reasons = [f.sentence for f in verdict.findings if f.status in ("fail", "suspect")]
        text = " ".join(reasons) or f"{verdict.name}: {verdict.advice}"
        is_failed = verdict.name in ("failed", "regressed", "does_not_fit")
        is_decided = verdict.name in ("pass", "no_baseline") or (
            verdict.name == "unfit" and verdict.advice == "usable"
        )
        is_good = is_decided and not results.session.untried.get(verdict.deployment)
        outcome: Literal["passed", "failure", "error"] = (
            "failure" if is_failed else "passed" if is_good else "error"
        )
        cases = [Case("verdict", outcome, text, verdict.name)]
        cases += [
            Case(
                f"{check.suite}: {check.test}",
                _OUTCOMES[check.outcome],
                check.detail or check.known_bug,
                check.outcome,
            )
            for check in results.checks
            if check.deployment == verdict.deployment
        ]
        suites.append((verdict.deployment, cases))
    session = results.session
    return junit(f"session {session.identifier}", suites, started=session.started)


_OUTCOMES: dict[str, Literal["passed", "failure", "error", "skipped"]] = {
    "passed": "passed",
    "failed": "failure",
    "error": "error",
    "skipped": "skipped",
    "xfailed": "skipped",
    "xpassed": "failure",
}


def _element(suite: str, case: Case) -> ElementTree.Element:
    element = ElementTree.Element("testcase", classname=disarm(suite), name=disarm(case.name))
    text, reason = disarm(case.text, LONGEST), disarm(case.reason)
    if case.outcome in ("failure", "error"):
        ElementTree.SubElement(element, case.outcome, type=reason, message=text).text = text
    elif case.outcome == "skipped":
        ElementTree.SubElement(element, "skipped", message=f"{reason}: {text}")
    elif text:
        ElementTree.SubElement(element, "system-out").text = text
    return element


def _count(element: ElementTree.Element, cases: Sequence[Case]) -> None:
    element.set("tests", str(len(cases)))
    for attribute, outcome in (
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        element.set(attribute, str(sum(case.outcome == outcome for case in cases)))


def _seconds(value: float) -> str:
    return f"{value if math.isfinite(value) else 0:.3f}"
