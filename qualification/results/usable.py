"""Whether results can be stored at the end of a run: asked before its first test."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from qualification.core.disk import has_no_room
from qualification.core.errors import StoreError
from qualification.core.format import bytes_text
from qualification.results.opening import Database, opened
from qualification.results.refusals import ANOTHER
from qualification.results.tables import SESSIONS

_CHECKED_BYTES = 100_000_000
"""Larger SQLite files are not read as a whole: it would take seconds."""


def usable(url: str, room_bytes: int = 0) -> None:
    """Open a results database, migrate an older one, and write to it without leaving anything.

    ``room_bytes`` is what has to be free on the disk of an SQLite file. Raises StoreError, one
    sentence, for anything that would lose the results. 'none' is always usable.
    """
    if url == "none":
        return
    database = opened(url)
    try:
        _require_a_disk(database)
        if database.file is not None:
            _require_sound(database, database.file)
            _require_room(database.name, database.file.absolute().parent, room_bytes)
        with database.transaction(writes=True) as connection:
            connection.execute(
                SESSIONS.insert().values(
                    number=-1,
                    identifier=uuid.uuid4().hex,
                    started="",
                    machine="",
                    tier="",
                    record={},
                )
            )
            connection.rollback()
    finally:
        database.engine.dispose()


def _require_a_disk(database: Database) -> None:
    if not database.is_sqlite:
        return
    with database.transaction() as connection:
        file = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    if not file:
        raise StoreError(
            f"{database.name}: is in memory, so every result would be lost: keep none with "
            f"--results none, or {ANOTHER}"
        )


def _require_sound(database: Database, file: Path) -> None:
    if file.stat().st_size > _CHECKED_BYTES:
        return
    with database.transaction() as connection:
        answer = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if answer != "ok":
        damage = " ".join(str(answer).split())
        raise StoreError(
            f"{database.name}: is corrupt ({damage}): put a copy of yours in its place, or "
            f"{ANOTHER}"
        )


def _require_room(name: str, folder: Path, room_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < room_bytes or has_no_room(folder):
        raise StoreError(
            f"{name}: its disk has too little room ({bytes_text(free)} free, "
            f"{bytes_text(room_bytes)} needed): free some, or {ANOTHER}"
        )
