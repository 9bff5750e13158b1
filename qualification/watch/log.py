"""The JSON-lines log of a soak test: written line by line, read and summarised however it ended.

It is a journal like those of runs and gates, so a ``kill -9`` truncates the last line at most. A
summary is counted anew from the lines: it is the same whether or not the run came to write its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from qualification.core.errors import StoreError
from qualification.core.journal_file import JournalFile
from qualification.core.protocol import to_json
from qualification.core.validation import first_problem
from qualification.watch.records import (
    LOG_VERSION,
    Alert,
    Ended,
    Header,
    Line,
    Loaded,
    MachineState,
    Request,
    SelfReport,
    Summary,
)
from qualification.watch.tally import Tally

MAX_LINE = 1_000_000
MAX_ALERTS = 200
"""Number of alerts that a summary shows, the newest."""

_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


class Log:
    """A new file; OSError if it cannot be made or exists already.

    A disk that fills up later must not end a run of days: writing then stops, and ``problem`` says
    why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: JournalFile | None = JournalFile(path, is_new=True)

    def write(self, line: Line) -> None:
        """Append one record."""
        if self._file is None:
            return
        try:
            self._file.add(to_json(line))
        except OSError as error:
            self.problem = f"{self.path}: the log ends here: {error.strerror or error}"
            self.close()

    def close(self) -> None:
        """End the file; a second call does nothing."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                self.problem = self.problem or f"{self.path}: not closed: {error.strerror or error}"


def read(path: Path) -> Iterator[Line]:
    """The records of a log in order, the header first; a truncated last line is left out.

    Raises StoreError with the line's number if the file is not a log of this version.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            is_complete = line.endswith(b"\n")
            try:
                record = _LINE.validate_json(line)
            except ValidationError as error:
                if not is_complete and number > 1:
                    return
                problem = first_problem(error, "the line")
                raise StoreError(
                    f"{path}:{number}: not a line of a watch's log: {problem}"
                ) from None
            if number == 1 and not isinstance(record, Header):
                raise StoreError(f"{path}:1: a watch's log begins with a header")
            if isinstance(record, Header) and record.version != LOG_VERSION:
                raise StoreError(
                    f"{path}:{number}: version {record.version} of the log, and this release reads"
                    f" version {LOG_VERSION}"
                )
            yield record
    if not number:
        raise StoreError(f"{path}: is empty, not a watch's log")


def summary_of(path: Path) -> tuple[Header, Summary, tuple[Alert, ...]]:
    """The header, the summary and the newest alerts of a log.

    If the log has no summary, that of its lines says ``not yet``. Raises StoreError for a file that
    is no log.
    """
    header: Header | None = None
    tally: Tally | None = None
    alerts: list[Alert] = []
    raised: dict[str, int] = {}
    ended: Ended = "not yet"
    elapsed: float | None = None
    for line in read(path):
        if isinstance(line, Header):
            if header is not None:
                raise StoreError(f"{path}: has a second header; it is two logs in one file")
            header, tally = line, Tally(line.levels)
            continue
        assert tally is not None  # read() begins with a header
        if isinstance(line, Request):
            tally.add(line)
        elif isinstance(line, Alert):
            alerts = [*alerts[-MAX_ALERTS + 1 :], line]
            if line.level != "note":
                raised[line.alert] = raised.get(line.alert, 0) + 1
            # Where processes are not observable, the alert is all that shows a restart.
            if line.alert == "restart" and tally.latest and not tally.latest.look.identity:
                tally.note_restart()
        elif isinstance(line, Loaded):
            tally.add_load(line)
        elif isinstance(line, MachineState):
            tally.add_state(line)
        elif isinstance(line, SelfReport):
            tally.add_self_report(line)
        elif isinstance(line, Summary):
            ended, elapsed = line.ended, line.figures.elapsed_s
    assert header is not None
    assert tally is not None
    return header, Summary(ended, tally.figures(elapsed), raised), tuple(alerts)
