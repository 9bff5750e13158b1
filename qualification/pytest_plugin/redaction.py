"""What pytest prints of a test on a deployment shows no key and no password.

A traceback has the arguments of its frames and, with ``--showlocals``, their variables: those of a
client of a server or of a starting process are among them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from qualification.core.text import without_secrets


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Redact the report before anybody reads it."""
    report = yield
    if "deployed" in getattr(item, "fixturenames", ()):
        report.sections = _redacted(report.sections)
        text = str(report.longrepr)
        if without_secrets(text) != text:
            report.longrepr = _redacted(report.longrepr)
    return report


def _redacted(part: Any) -> Any:
    """The same with every text in it redacted; pytest's records of a traceback stay objects."""
    if isinstance(part, str):
        return without_secrets(part)
    if isinstance(part, list | tuple):
        return type(part)(map(_redacted, part))
    for name, value in vars(part).items() if hasattr(part, "__dict__") else ():
        setattr(part, name, _redacted(value))
    return part
