"""The map's journal: one JSON object a line, on the disk before the next deployment is asked.

::

    {"schema_version": 1, "package": "xllamacpp"}       the first line
    {"place": {...}}
    {"sight": {...}}
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from qualification.core.errors import GateError
from qualification.core.file_lock import LockTaken, locked_at_once
from qualification.core.files import lock_path
from qualification.core.journal_file import JournalError, JournalFile, read_lines
from qualification.core.protocol import to_json
from qualification.core.validation import first_problem
from qualification.upgrade.release_map.records import Place, Release, ReleaseMap, Sight

NAME = "journal.jsonl"
SCHEMA_VERSION = 1
_PLACE, _SIGHT = TypeAdapter(Place), TypeAdapter(Sight)


class MapJournal:
    """An open journal, to which no other process adds."""

    def __init__(self, path: Path) -> None:
        self._file = JournalFile(path)

    def add(self, entry: Place | Sight) -> None:
        """Append; it is on the disk when this returns."""
        kind = "place" if isinstance(entry, Place) else "sight"
        self._file.add({kind: to_json(entry)})

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def opened(folder: Path, package: str) -> Iterator[tuple[MapJournal, tuple[Place | Sight, ...]]]:
    """The journal of a package's map in a folder, made if it is missing, and what it holds.

    GateError where it is damaged, of another package, or another process adds to it.
    """
    path = folder / NAME
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locked_at_once(lock_path(path), f"process {os.getpid()}"):
            entries = _read(path, package)
            journal = MapJournal(path)
            try:
                yield journal, entries
            finally:
                journal.close()
    except LockTaken as holder:
        raise GateError(f"{folder}: {holder} makes this map: wait until it ends") from None


def holding(
    entries: Sequence[Place | Sight],
    package: str,
    releases: Sequence[Release],
    digests: dict[str, tuple[str, str]],
) -> ReleaseMap:
    """What still holds of a journal: of these releases, weights and questions.

    ``digests``: deployment -> those of its weights and questions, for all that are to be asked. An
    environment that could not be built is tried anew; one that could is that of the day on which it
    was asked, whatever is pinned today.
    """
    versions = {release.version for release in releases}
    places = {
        (entry.version, entry.neighbours): entry
        for entry in entries
        if isinstance(entry, Place) and entry.version in versions and not entry.failure
    }
    sights = {
        (entry.key, entry.behaviour.deployment, entry.behaviour.attempt): entry
        for entry in entries
        if isinstance(entry, Sight)
        and digests.get(entry.behaviour.deployment) == (entry.weights, entry.questions)
    }
    return ReleaseMap(package, tuple(releases), tuple(places.values()), tuple(sights.values()))


def _read(path: Path, package: str) -> tuple[Place | Sight, ...]:
    if not path.exists() or not path.stat().st_size:
        with_header = JournalFile(path)
        with_header.add({"schema_version": SCHEMA_VERSION, "package": package})
        with_header.close()
        return ()
    try:
        lines = read_lines(path)
    except JournalError as error:
        raise GateError(str(error)) from error
    os.truncate(path, lines.length)
    header, *entries = lines.entries or ({},)
    if header != {"schema_version": SCHEMA_VERSION, "package": package}:
        raise GateError(f"{path}: is not the journal of a map of {package}; name another --output")
    return tuple(_entry(entry, path, number) for number, entry in enumerate(entries, 2))


def _entry(entry: dict[str, object], path: Path, number: int) -> Place | Sight:
    try:
        if "place" in entry:
            return _PLACE.validate_python(entry["place"])
        return _SIGHT.validate_python(entry.get("sight"))
    except ValidationError as error:
        raise GateError(f"{path}:{number}: {first_problem(error)}") from error
