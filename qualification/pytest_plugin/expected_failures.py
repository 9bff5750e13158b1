"""Known bugs as strict xfails, and what became of each test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from qualification.core.declarations import Deployment, KnownBug
from qualification.core.errors import WorkerError
from qualification.core.results import Check
from qualification.core.text import disarm
from qualification.models.known_bugs import must_fail
from qualification.pytest_plugin.cases import suite_of, test_name


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


def _failure_text(failure: pytest.ExceptionInfo[BaseException]) -> str:
    error = failure.value
    tail = error.stderr_tail if isinstance(error, WorkerError) else ""
    text = f"{type(error).__name__}: {error}"
    return f"{text}\n{tail}" if tail else text
