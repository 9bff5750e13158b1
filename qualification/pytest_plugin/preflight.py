"""Before the first test: what a run measures can be kept, or it does not begin."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from qualification.core.errors import StoreError
from qualification.core.format import bytes_text

if TYPE_CHECKING:
    from qualification.pytest_plugin.state import RunState

_TEST_BYTES = 20_000
"""What the journal and the store take for a test at most: its texts are limited."""

_LEAST_BYTES = 20_000_000


def require_place(state: RunState) -> None:
    """UsageError, one sentence, where results or journal cannot be written or have no room."""
    project = state.project
    if refused := project.why_results_are_refused():
        raise pytest.UsageError(refused)
    if project.results == "none":
        return
    from qualification.results.usable import usable

    needed = max(_LEAST_BYTES, _TEST_BYTES * sum(state.selected.values()))
    try:
        usable(project.results, needed)
    except StoreError as error:
        raise pytest.UsageError(f"{error}") from error
    folder = project.sessions
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b" " * _TEST_BYTES)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise pytest.UsageError(
            f"{folder}: the journal of the run cannot be written there "
            f"({error.strerror or error}); name another place with --results or QUALIFY_RESULTS"
        ) from error
    if free < needed:
        raise pytest.UsageError(
            f"{folder}: {bytes_text(free)} are free, and this run may need {bytes_text(needed)} "
            "for its journal and results; free some, or name another place with --results"
        )
