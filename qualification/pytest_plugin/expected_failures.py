"""Known bugs as strict xfails, and the outcome that is stored for each test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from qualification.core.declarations import Deployment, KnownBug
from qualification.core.errors import WorkerError
from qualification.core.results import Check
from qualification.core.text import disarm, without_secrets
from qualification.models.known_bugs import how_to_end, must_fail, remedy
from qualification.pytest_plugin.cases import suite_of, test_name


def xfail_reason(bugs: Sequence[KnownBug]) -> str:
    """``identifier: title (cause); workaround: …; see …`` for each bug."""
    return " | ".join(f"{bug.identifier}: {bug.title} ({bug.cause}); {remedy(bug)}" for bug in bugs)


def compare_with_known_bugs(
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
    deployment: Deployment,
    test: str,
    bugs: Sequence[KnownBug],
    versions: Mapping[str, str],
) -> tuple[KnownBug | None, str]:
    """Change ``report`` where another failure than the expected one, or none, happened.

    Returns the bug that the failure shows, or else the first expected one, and a sentence if a bug
    no longer fails.
    """
    if not bugs:
        return None, ""
    failure = "" if call.excinfo is None else f"{call.excinfo.typename}: {call.excinfo.value}"
    # The log is left out: an earlier request may have left the words of the bug in it.
    bug = next((bug for bug in bugs if re.search(bug.failure, failure)), None)
    if bug is None and report.skipped and hasattr(report, "wasxfail"):
        # xfail excuses every failure; this one is none of the declared ones, so it counts.
        report.outcome = "failed"
        del report.wasxfail
        names = ", ".join(bug.identifier for bug in bugs)
        patterns = " or ".join(f"/{bug.failure}/" for bug in bugs)
        report.longrepr = (
            f"{names} is known to fail with {patterns}, "
            f"but this is another failure:\n{without_secrets(disarm(failure))}"
        )
    elif report.passed and hasattr(report, "wasxfail"):
        # A bug that only may fail did not: a plain success, which ends no range.
        del report.wasxfail
        return None, ""
    elif report.failed and report.when == "call" and call.excinfo is None:
        # pytest's verdict on a strict xfail that passed.
        fixed = [bug for bug in bugs if must_fail(bug, test)]
        report.longrepr = "; ".join(_no_longer_fails(bug, deployment, versions) for bug in fixed)
        return fixed[0], report.longrepr
    return bug or bugs[0], ""


def check_of(
    item: pytest.Item,
    deployment: Deployment,
    bug: KnownBug | None,
    report: pytest.TestReport,
    call: pytest.CallInfo[Any],
) -> Check:
    """The outcome of a test as it is stored."""
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
        detail=without_secrets(disarm(detail)),
        known_bug=bug.identifier if bug is not None else "",
    )


def _no_longer_fails(bug: KnownBug, deployment: Deployment, versions: Mapping[str, str]) -> str:
    return (
        f"{bug.identifier} no longer fails on {deployment.identifier} with "
        f"{bug.package} {versions.get(bug.package, '')}: {bug.title}. "
        f'{how_to_end().capitalize()}: versions = "{bug.versions}" still includes it.'
    )


def _failure_text(failure: pytest.ExceptionInfo[BaseException]) -> str:
    error = failure.value
    tail = error.stderr_tail if isinstance(error, WorkerError) else ""
    text = f"{type(error).__name__}: {error}"
    return f"{text}\n{tail}" if tail else text
