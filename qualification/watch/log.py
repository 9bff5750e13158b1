"""The JSON-lines log of an endurance run: written line by line, readable however it ended.

Every line is flushed, so what a ``kill -9`` leaves is whole but for its last line at most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field, TypeAdapter, ValidationError

from qualification.core.errors import StoreError
from qualification.core.protocol import to_json
from qualification.watch.records import (
    LOG_VERSION,
    Alert,
    Ended,
    Header,
    Line,
    Loaded,
    MachineState,
    Request,
    ServerWord,
    Summary,
)
from qualification.watch.tally import Tally

MAX_LINE = 1_000_000
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


class Log:
    """A new file; OSError where it cannot be made or is there already.

    A disk that fills up later must not end a run of days: writing then stops, and ``problem`` says
    why.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[str] | None = path.open("x", encoding="utf-8", buffering=1)

    def write(self, line: Line) -> None:
        """Append one record."""
        if self._file is None:
            return
        try:
            self._file.write(f"{json.dumps(to_json(line), allow_nan=False)}\n")
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
    """The records of a log in order, the header first; a last line that was cut is left out.

    Raises StoreError with the line's number where it is not a log of this version.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            whole = line.endswith(b"\n")
            try:
                record = _LINE.validate_json(line)
            except ValidationError as error:
                if not whole and number > 1:
                    return
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"]) or "the line"
                raise StoreError(
                    f"{path}:{number}: not a line of a watch's log: {place}: {first['msg']}"
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


MAX_ALERTS = 200


def summary_of(path: Path) -> tuple[Header, Summary, tuple[Alert, ...]]:
    """The header, the summary and the newest alerts of a log.

    Where the last line is missing, the summary is counted anew and says ``not yet``. Raises
    StoreError for a file that is no log.
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
            if line.alert == "restart" and tally.last and not tally.last.look.identity:
                tally.note_restart()
        elif isinstance(line, Loaded):
            tally.add_load(line)
        elif isinstance(line, MachineState):
            tally.add_state(line)
        elif isinstance(line, ServerWord):
            tally.add_word(line)
        elif isinstance(line, Summary):
            ended, elapsed = line.ended, line.figures.elapsed_s
    assert header is not None
    assert tally is not None
    return header, Summary(ended, tally.figures(elapsed), raised), tuple(alerts)
