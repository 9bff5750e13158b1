"""A log read again: the same figures from the same lines, however the run ended."""

from __future__ import annotations

from pathlib import Path

from qualification.endurance.log import read
from qualification.endurance.records import (
    Alert,
    Ended,
    Header,
    Loaded,
    MachineState,
    Request,
    ServerWord,
    Summary,
)
from qualification.endurance.tally import Tally
from qualification.errors import StoreError

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
