"""A failed check of a shipped suite is told by its cause, not by the lines of the suite.

pytest shows a screen of source for each failure, and one line more at the end, both wider than a
terminal; of a suite that the user did not write they say nothing that the failures by cause do not.
``-v``, ``--tb``, ``-r`` and ``-l`` show them. The tests of a user's own and whatever is a mistake
of the suite itself keep theirs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from qualification.core.errors import QualificationError
from qualification.core.paths import PACKAGE

_TOLD = "is_told_by_cause"
"""An attribute of a report, which pytest-xdist brings along."""

_DEFAULTS = {"tbstyle": "auto", "reportchars": "fE", "showlocals": False}
"""pytest's own, where nobody asked to see more, or less."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Mark the failures that the end of the run tells by their cause."""
    report = yield
    failures = (AssertionError, QualificationError, pytest.fail.Exception)
    is_check = call.excinfo is None or isinstance(call.excinfo.value, failures)
    if report.failed and is_check and item.path.is_relative_to(PACKAGE / "suites"):
        setattr(report, _TOLD, True)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Generator[None]:
    """Around pytest's own summary: it does not see them, and its counts do."""
    options = {name: getattr(config.option, name) for name in _DEFAULTS}
    if config.get_verbosity() > 0 or options != _DEFAULTS:
        return (yield)
    stats = terminalreporter.stats
    reports = {name: stats[name] for name in ("failed", "error") if name in stats}
    for name, of_name in reports.items():
        stats[name] = [report for report in of_name if not hasattr(report, _TOLD)]
    try:
        return (yield)
    finally:
        stats.update(reports)
