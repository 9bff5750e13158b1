"""The gate's journal: one JSON object a line, written as soon as something was observed.

::

    {"schema_version": 1, "plan": {...}, "a": {...}, "b": {...}}       the first line
    {"behaviour": {...}, "elapsed_s": 12.3}
    {"pair": {...}, "elapsed_s": 45.6}

``a`` and ``b`` are the specifications from which the environments are built again. A line is on the
disk before the gate goes on, and all conclusions are derived again when it is resumed, so a gate
that was killed at any moment decides as one that was not. A truncated last line is dropped; any
other line that cannot be read is an error, never skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from qualification.core.errors import GateError
from qualification.core.file_lock import LockTaken, locked_at_once
from qualification.core.files import lock_path
from qualification.core.journal_file import JournalError, JournalFile, read_lines
from qualification.core.protocol import to_json
from qualification.core.validation import first_problem
from qualification.upgrade.environments.spec import EnvironmentSpec
from qualification.upgrade.gate.records import GATE_SCHEMA_VERSION, Behaviour, GatePlan, Pair

NAME = "journal.jsonl"
Entry = Behaviour | Pair


@dataclass(frozen=True)
class Recorded:
    """The content of a journal. ``elapsed_s``: the gate's own time so far, over all its runs."""

    plan: GatePlan
    a: EnvironmentSpec
    b: EnvironmentSpec
    entries: tuple[Entry, ...]
    elapsed_s: float

    @property
    def observations(self) -> tuple[Behaviour, ...]:
        """The behaviour that was observed, in order."""
        return tuple(entry for entry in self.entries if isinstance(entry, Behaviour))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs that were timed, in order."""
        return tuple(entry for entry in self.entries if isinstance(entry, Pair))


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class _Header:
    schema_version: int
    plan: GatePlan
    a: EnvironmentSpec
    b: EnvironmentSpec


_HEADER = TypeAdapter(_Header)
_ENTRIES: dict[str, TypeAdapter[Any]] = {
    "behaviour": TypeAdapter(Behaviour),
    "pair": TypeAdapter(Pair),
}


class GateJournal:
    """An open journal, of which no other process goes on; a context manager that closes its file.

    ``lock`` is let go of with it.
    """

    def __init__(self, path: Path, lock: ExitStack) -> None:
        self._file = JournalFile(path)
        self._lock = lock
        self.path = path

    @classmethod
    def begin(
        cls, folder: Path, plan: GatePlan, a: EnvironmentSpec, b: EnvironmentSpec
    ) -> GateJournal:
        """Start the journal of a new gate; GateError where the folder has one already."""
        path = folder / NAME
        with ExitStack() as lock:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock.enter_context(_alone(folder))
                path.touch(exist_ok=False)
            except FileExistsError:
                raise GateError(
                    f"{path}: there is a gate already; go on with it by --resume {folder}, "
                    "or name another --output"
                ) from None
            journal = cls(path, lock.pop_all())
        journal._write(
            {
                "schema_version": GATE_SCHEMA_VERSION,
                "plan": to_json(plan),
                "a": to_json(a),
                "b": to_json(b),
            }
        )
        return journal

    @classmethod
    def again(cls, folder: Path) -> tuple[GateJournal, Recorded]:
        """Go on with a gate: its journal without a truncated line, and the content.

        GateError where there is none, it is damaged, or another process goes on with it.
        """
        with ExitStack() as lock:
            lock.enter_context(_alone(folder))
            recorded, length = _read(folder / NAME)
            os.truncate(folder / NAME, length)
            return cls(folder / NAME, lock.pop_all()), recorded

    def add(self, entry: Entry, elapsed_s: float) -> None:
        """Append an observation; it is on the disk when this returns."""
        kind = "pair" if isinstance(entry, Pair) else "behaviour"
        self._write({kind: to_json(entry), "elapsed_s": round(elapsed_s, 3)})

    def __enter__(self) -> GateJournal:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and let others go on with the gate."""
        self._file.close()
        self._lock.close()

    def _write(self, content: dict[str, Any]) -> None:
        self._file.add(content)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only process that goes on with the gate of a folder; GateError where one does."""
    try:
        with locked_at_once(lock_path(folder / NAME), f"process {os.getpid()}"):
            yield
    except LockTaken as holder:
        raise GateError(
            f"{folder}: {str(holder) or 'another process'} goes on with this gate: wait until it "
            "ends, or end it"
        ) from None


def read(folder: Path) -> Recorded:
    """The content of a gate's journal; GateError if there is none or it is damaged."""
    return _read(folder / NAME)[0]


def _read(path: Path) -> tuple[Recorded, int]:
    """The content, and the number of bytes of its whole lines."""
    try:
        lines = read_lines(path)
    except JournalError as error:
        raise GateError(str(error)) from error
    if not lines.entries:
        raise GateError(f"{path}: holds no whole line, so there is nothing to resume; start anew")
    raw_header = lines.entries[0]
    version = raw_header.get("schema_version")
    # Before anything else is parsed: the plan of another version need not look like ours.
    if version != GATE_SCHEMA_VERSION:
        raise GateError(
            f"{path}: has schema version {version!r}, this release reads {GATE_SCHEMA_VERSION}"
        )
    header = _parsed(_HEADER, raw_header, path, 1)
    entries, elapsed = [], 0.0
    for number, line in enumerate(lines.entries[1:], start=2):
        entry = dict(line)
        elapsed = max(elapsed, float(entry.pop("elapsed_s", 0.0)))
        ((kind, value),) = entry.items() if len(entry) == 1 else (("", None),)
        if kind not in _ENTRIES:
            raise GateError(f"{path}:{number}: is neither a behaviour nor a pair")
        entries.append(_parsed(_ENTRIES[kind], value, path, number))
    return Recorded(header.plan, header.a, header.b, tuple(entries), elapsed), lines.length


def _parsed(adapter: TypeAdapter[Any], value: Any, path: Path, number: int) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise GateError(f"{path}:{number}: {first_problem(error)}") from error
