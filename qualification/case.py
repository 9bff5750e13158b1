"""One test of one deployment: which suite it is of, what it is called, what its report means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from qualification.errors import WorkerError
from qualification.hostile_text import disarm
from qualification.plan import must_fail
from qualification.records import Check, Deployment, KnownBug

SUITES = {
    "load": "loads, and in time",
    "throughput": "time to first token and decoding speed, through pytest-benchmark",
    "memory": "peak memory against the tier's budget",
    "consistency": "equal answers and equal speed when repeated",
    "capability": "what the declaration says that it can do",
    "parity": "equal answers on every backend of a model",
    "context": "what is remembered of a picture two turns later",
    "quality": "share of right answers",
    "vqa": "VQA 2.0 accuracy, of the official files or of generated questions",
    "diagram": "recall, invention, repetition and cut-off on a drawn diagram",
    "prompts": "wordings, lengths and scripts of a prompt, limits of an answer",
    "state": "a request leaves nothing behind",
    "conformance": "what a server answers to good and to bad requests, by raw HTTP",
    "concurrency": "several clients of a server at once, each with pictures of its own",
    "known_bugs": "known nuisances that no other suite would notice",
    "drift": "the same request as fast at the end as at the beginning",
    "sustained": "speed after minutes without a pause, with --sustained",
}

MEASURING = ("load", "throughput", "memory")
"""Suites that ask for time and memory alone: random weights can be held to them."""

CASE = pytest.StashKey[tuple[Deployment, tuple[KnownBug, ...]]]()
"""On the item: the deployment, and the known bugs that are in range for this test of it."""


def deployment_of(item: pytest.Item) -> Deployment | None:
    """The deployment that a test is of, if it is of one."""
    specification = getattr(item, "callspec", None)
    value = specification.params.get("deployed") if specification is not None else None
    return value if isinstance(value, Deployment) else None


def asks_another_skill(item: pytest.Item) -> bool:
    """Whether a test is parametrised by a skill that its model is not declared for."""
    deployment = deployment_of(item)
    if deployment is None or not deployment.model.skills:
        return False
    parameters = cast(pytest.Function, item).callspec.params
    return "skill" in parameters and parameters["skill"] not in deployment.model.skills


def is_not_asked_for(item: pytest.Item) -> bool:
    """Whether a test takes what an option asks for that was not given.

    Such tests are left out and not skipped: with ``--require-all`` a skip fails the run.
    """
    fixtures = getattr(item, "fixturenames", ())
    option = item.config.getoption
    return ("sustained_minutes" in fixtures and not option("--sustained")) or (
        "cold_load" in fixtures and not option("--cold-load")
    )


def suite_of(item: pytest.Item) -> str:
    """The suite by marker, or by the name of the file for a test of a user's own."""
    for name in SUITES:
        if item.get_closest_marker(name) is not None:
            return name
    return item.path.stem.removeprefix("test_")


def suite_rank(item: pytest.Item) -> int:
    """Where the suite of a test comes in the order of suites."""
    suites = list(SUITES)
    suite = suite_of(item)
    return suites.index(suite) if suite in suites else len(suites)


def hold_to_known_bugs(
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
    deployment: Deployment,
    test: str,
    bugs: Sequence[KnownBug],
    versions: Mapping[str, str],
) -> tuple[KnownBug | None, str]:
    """Change ``report`` where an expected failure is another one, or did not happen.

    Returns the bug that was seen, or else the first that was expected, and the sentence that says
    so where one no longer fails.
    """
    if not bugs:
        return None, ""
    said = "" if call.excinfo is None else f"{call.excinfo.typename}: {call.excinfo.value}"
    # The log is left out: an earlier request may have left the words of the bug in it.
    bug = next((bug for bug in bugs if re.search(bug.failure, said)), None)
    if bug is None and report.skipped and hasattr(report, "wasxfail"):
        report.outcome = "failed"
        del report.wasxfail
        names = ", ".join(one.identifier for one in bugs)
        expected = " or ".join(f"/{one.failure}/" for one in bugs)
        report.longrepr = (
            f"{names} is known to fail with {expected}, "
            f"but this is another failure:\n{disarm(said)}"
        )
    elif report.passed and hasattr(report, "wasxfail"):
        del report.wasxfail  # none of them had to make it fail
        return None, ""
    elif report.failed and report.when == "call" and call.excinfo is None:
        required = [one for one in bugs if must_fail(one, test)]
        sentence = "; ".join(  # a strict xfail that passed
            f"{one.identifier} no longer fails on {deployment.identifier} with "
            f"{one.package} {versions.get(one.package, '')}: {one.title}. "
            f'End its range in bugs.toml: versions = "{one.versions}" still includes it.'
            for one in required
        )
        report.longrepr = sentence
        return required[0], sentence
    return bug or bugs[0], ""


def check(
    item: pytest.Item,
    deployment: Deployment,
    bug: KnownBug | None,
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
) -> Check:
    """What is kept of a test that ran."""
    outcome: str = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else "xpassed"
    elif bug is not None and report.failed and call.excinfo is None:
        outcome = "xpassed"
    elif report.when != "call" and report.failed:
        outcome = "error"
    detail = "" if call.excinfo is None else _failure_text(call.excinfo)
    if report.skipped and isinstance(report.longrepr, tuple):
        detail = report.longrepr[2].removeprefix("Skipped: ")
    return Check(
        deployment=deployment.identifier,
        suite=suite_of(item),
        test=test_name(item, deployment),
        outcome=cast(Any, outcome),
        detail=disarm(detail),
        known_bug=bug.identifier if bug is not None else "",
    )


def test_name(item: pytest.Item, deployment: Deployment) -> str:
    """The function's name, with its parameters but for the deployment."""
    function = cast(pytest.Function, item)
    parameters = function.callspec.id if hasattr(function, "callspec") else ""
    others = parameters.replace(deployment.identifier, "").strip("-")
    return f"{function.originalname}[{others}]" if others else function.originalname


def _failure_text(failure: pytest.ExceptionInfo[BaseException]) -> str:
    error = failure.value
    tail = error.stderr_tail if isinstance(error, WorkerError) else ""
    text = f"{type(error).__name__}: {error}"
    return f"{text}\n{tail}" if tail else text
