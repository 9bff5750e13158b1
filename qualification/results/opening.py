"""Opens a results database: makes what is missing, migrates what is old, refuses anything else."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from qualification.core.errors import StoreError
from qualification.core.file_lock import locked
from qualification.core.files import lock_path
from qualification.core.text import without_login
from qualification.results.refusals import ANOTHER, LOCKED_S, refusal
from qualification.results.tables import SCHEMA, STORE_VERSION, TABLES

_CONNECT_S = 10
_ADVISORY_LOCK = 7_161_982
"""Any number of our own: PostgreSQL's lock for whoever makes or migrates the tables."""


@dataclass(frozen=True)
class Database:
    """A results database. ``name`` is its URL as it may be printed; ``file`` is that of SQLite."""

    name: str
    engine: sql.Engine
    file: Path | None = None

    @contextlib.contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[sql.Connection]:
        """One transaction; StoreError, one sentence, for whatever fails in it.

        One that ``writes`` excludes every other that writes to an SQLite file, from its begin.
        """
        try:
            with self.engine.execution_options(writes=writes).begin() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error, ValueError, OverflowError, OSError) as error:
            # The driver's error as the cause: SQLAlchemy's has the statement in its text.
            raise refusal(self.name, error) from getattr(error, "orig", None)


def opened(url: str) -> Database:
    """The database of a URL with the tables of this release; StoreError where it has not got them.

    Tables are made where there are none; those of an older release are migrated.
    """
    database = _connected(url)
    with database.transaction() as connection:
        if is_current := _version(connection, database.name) == STORE_VERSION:
            _require_columns(connection, database.name)
    if not is_current:
        _make_or_migrate(database)
    return database


def _connected(url: str) -> Database:
    name = without_login(url)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # their texts may have the URL, with its password
        raise StoreError(
            f"{name!r} is no database URL such as sqlite:///results.sqlite: "
            f"correct it, or {ANOTHER}"
        ) from None
    is_sqlite = parsed.get_backend_name() == "sqlite"
    file = None
    if is_sqlite and parsed.database not in (None, ":memory:") and "uri" not in parsed.query:
        file = Path(str(parsed.database))
        _make_folder(file, name)
    if parsed.drivername.startswith("postgresql") and "connect_timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"connect_timeout": str(_CONNECT_S)})
    engine = _engine(parsed, name)
    if is_sqlite:
        sql.event.listen(engine, "connect", _leave_transactions_to_us)
        sql.event.listen(engine, "begin", _begin)
    return Database(name, engine, file)


def _make_folder(file: Path, name: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{name}: its folder cannot be made ({error.strerror or error}): {ANOTHER}"
        ) from error
    if file.is_dir():
        raise StoreError(f"{name}: is a folder and no file: {ANOTHER}")


def _engine(url: URL, name: str) -> sql.Engine:
    options = {"timeout": LOCKED_S} if url.get_backend_name() == "sqlite" else {}
    try:
        return sql.create_engine(url, connect_args=options, hide_parameters=True)
    except NoSuchModuleError as error:
        raise StoreError(
            f"{name}: {url.drivername!r} is no kind of database that SQLAlchemy knows: correct "
            f"the URL, or {ANOTHER}"
        ) from error
    except ImportError as error:
        raise StoreError(
            f"{name}: needs the Python package {error.name or url.drivername}, which is not "
            f"installed: install it for {sys.executable}, or {ANOTHER}"
        ) from error
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise refusal(name, error) from error


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    """Python's sqlite3 begins none for tables that are made or changed."""
    connection.isolation_level = None


def _begin(connection: sql.Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _version(connection: sql.Connection, name: str) -> int | None:
    """The version of the tables, at most ours; None where there are none. StoreError otherwise."""
    present = TABLES.tables.keys() & set(sql.inspect(connection).get_table_names())
    if not present:
        return None
    if SCHEMA.name not in present:
        tables = ", ".join(sorted(present))
        raise StoreError(
            f"{name}: has no table 'schema' beside {tables}, so it is another program's, or "
            f"damaged: {ANOTHER}"
        )
    versions = connection.execute(sql.select(SCHEMA.c.version)).scalars().all()
    if len(versions) != 1 or not isinstance(versions[0], int) or versions[0] < 1:
        listed = ", ".join(map(repr, versions)) or "nothing"
        raise StoreError(
            f"{name}: its table 'schema' has {listed} where one version should be, so it is "
            f"damaged: put a copy of yours in its place, or {ANOTHER}"
        )
    version: int = versions[0]
    if version > STORE_VERSION:
        raise StoreError(
            f"{name}: has schema version {version}, of a newer release; this one reads versions up "
            f"to {STORE_VERSION}: install the newer release, or {ANOTHER}"
        )
    return version


def _require_columns(connection: sql.Connection, name: str) -> None:
    inspector = sql.inspect(connection)
    present = set(inspector.get_table_names())
    for table in TABLES.sorted_tables:
        columns = (
            {column["name"] for column in inspector.get_columns(table.name)}
            if table.name in present
            else set()
        )
        if missing := [column.name for column in table.columns if column.name not in columns]:
            raise StoreError(
                f"{name}: its table {table.name!r} lacks {', '.join(missing)}, so it is another "
                f"program's, or damaged: put a copy of yours in its place, or {ANOTHER}"
            )


def _make_or_migrate(database: Database) -> None:
    """Bring the tables to the version of this release, once, whoever else is about it too."""
    with _only_here(database), database.transaction(writes=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        version = _version(connection, database.name)
        if version is None:
            TABLES.create_all(connection)
            connection.execute(SCHEMA.insert().values(version=STORE_VERSION))
        elif version < STORE_VERSION:
            from qualification.results.migrations import migrate

            if connection.dialect.name == "sqlite":
                _keep_copy(connection, version)
            migrate(connection, version)
        _require_columns(connection, database.name)


@contextlib.contextmanager
def _only_here(database: Database) -> Iterator[None]:
    if database.file is None:
        yield
        return
    try:
        with locked(lock_path(database.file)) as lock:
            try:
                yield
            finally:
                lock.path.unlink(missing_ok=True)
    except OSError as error:
        raise refusal(database.name, error) from error


def _keep_copy(connection: sql.Connection, version: int) -> None:
    """Copy an SQLite file beside itself before it is migrated: ``results.sqlite.v1.bak``."""
    file = connection.exec_driver_sql("PRAGMA database_list").all()[0][2]
    if not file:  # in memory
        return
    copy, numbers = Path(f"{file}.v{version}.bak"), itertools.count(2)
    while copy.exists():
        copy = Path(f"{file}.v{version}-{next(numbers)}.bak")
    try:
        with (
            contextlib.closing(sqlite3.connect(file)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
