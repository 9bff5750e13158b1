"""Before the first test: a run measures alone and its results can be kept, or it does not begin."""

from __future__ import annotations

import shutil
import signal
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qualification.core.errors import DeviceBusy, StoreError
from qualification.core.files import make_folder
from qualification.core.format import bytes_text
from qualification.pytest_plugin.cases import TIMED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from qualification.pytest_plugin.state import RunState

_TEST_BYTES = 20_000
"""What the journal and the store take for a test at most: its texts are limited."""

_LEAST_BYTES = 20_000_000


def require_session(state: RunState) -> None:
    """UsageError where another process goes on with the session; this one does until its end."""
    if state.project.results == "none" or state.is_held:
        return
    from qualification.core.file_lock import LockTaken
    from qualification.session.session_lock import going_on

    stack = ExitStack()
    try:
        stack.enter_context(going_on(state.folder))
    except LockTaken as holder:
        state.is_refused = True
        raise pytest.UsageError(
            f"--resume: {state.folder.name}: {holder} goes on with it: wait until it ends"
        ) from None
    state.is_held = True
    state.config.add_cleanup(stack.close)


def require_place(state: RunState) -> None:
    """UsageError, one sentence, where results, journal or temporary files have no place or room."""
    project = state.project
    if refused := project.why_results_are_refused():
        raise pytest.UsageError(refused)
    needed = max(_LEAST_BYTES, _TEST_BYTES * sum(state.selected.values()))
    is_kept = project.results != "none"
    if is_kept:
        with _whole():
            from qualification.results.usable import usable

        try:
            usable(project.results, needed)
        except StoreError as error:
            raise pytest.UsageError(f"{error}") from error
        another = "name another place with --results or QUALIFY_RESULTS"
        _require_room(project.sessions, needed, "the journal of the run", another)
    another = "name another folder with TMPDIR"
    temporary = Path(tempfile.gettempdir())
    _require_room(temporary, _LEAST_BYTES if is_kept else needed, "temporary files", another)


@contextmanager
def _whole() -> Iterator[None]:
    """Ctrl-C is raised behind the block.

    An import that it breaks off leaves a package in pieces, which at the end of the run, where the
    results are stored, cannot be imported again: ``sqlalchemy`` then "has no attribute 'event'".
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt


def _require_room(folder: Path, needed: int, purpose: str, another: str) -> None:
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b" " * _TEST_BYTES)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise pytest.UsageError(
            f"{folder}: {purpose} cannot be written there ({error.strerror or error}); {another}"
        ) from error
    if free < needed:
        raise pytest.UsageError(
            f"{folder}: {bytes_text(free)} are free, and this run may need {bytes_text(needed)} "
            f"for {purpose}; free some, or {another}"
        )


def require_device(state: RunState, suites: Collection[str]) -> None:
    """UsageError, one sentence, where a run of these suites measures and another session does.

    The run is the one that measures until ``state.measuring`` is closed.
    """
    if not set(TIMED).intersection(suites):
        return
    from qualification.session.device_lock import measuring

    try:
        state.measuring.enter_context(measuring("pytest", state.config.rootpath))
    except DeviceBusy as error:
        state.is_refused = True
        raise pytest.UsageError(
            f"{error}, or run what is not measured: with -n 2, or without the suites "
            f"{', '.join(TIMED[:-1])} and {TIMED[-1]} (-m capability, say)"
        ) from error
