"""Opens a results database: makes what is missing, migrates what is old, refuses anything else."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, quote_plus

import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from qualification.core.errors import StoreError
from qualification.core.file_lock import LockTaken, locked_at_once
from qualification.core.files import lock_path, make_folder
from qualification.core.text import without_login
from qualification.results.refusals import ANOTHER, LOCKED_S, has_secret, refusal
from qualification.results.tables import SCHEMA, STORE_VERSION, TABLES

ANSWER_S = 15.0
"""How long a server may take to let us in, whatever its driver says, in seconds."""
_CONNECT_S = 10
_ADVISORY_LOCK = 7_161_982
"""Any number of our own: PostgreSQL's lock for whoever makes or migrates the tables."""
_RAW_AT = re.compile(r"[^:/]*://[^:/]*:[^@]*@.*@")
"""A URL as SQLAlchemy reads it: a password ends at the first @, a user at the first colon."""
_OF_PASSWORD = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)


@dataclass(frozen=True)
class Database:
    """A results database. ``name`` is its URL as it may be printed; ``file`` is that of SQLite.

    ``secrets`` are the passwords of the URL, as they are and as they are written in it.
    """

    name: str
    engine: sql.Engine
    file: Path | None = None
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether it has no server."""
        return self.engine.dialect.name == "sqlite"

    def refuse(self, error: Exception) -> NoReturn:
        """Raise the sentence for an error, from the driver's own where that has no password.

        SQLAlchemy's has the statement in its text, so it is never the cause.
        """
        cause = getattr(error, "orig", None)
        if has_secret(cause, self.secrets):
            cause = None
        raise refusal(self.name, error, self.secrets) from cause

    @contextlib.contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[sql.Connection]:
        """One transaction; StoreError, one sentence, for whatever fails in it.

        One that ``writes`` excludes every other that writes to an SQLite file, from its begin.
        """
        try:
            with self.engine.execution_options(writes=writes).begin() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error, ValueError, OverflowError, OSError) as error:
            self.refuse(error)


def opened(url: str) -> Database:
    """The database of a URL with the tables of this release; StoreError where it has not got them.

    Tables are made where there are none; those of an older release are migrated.
    """
    database = _connected(url)
    if not database.is_sqlite:
        _require_answer(database)
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
        _require_a_file(file, name)
    if not is_sqlite and _RAW_AT.match(url):
        raise StoreError(
            f"{name}: its password has a raw '@', which ends it: write that as %40, or {ANOTHER}"
        )
    if parsed.drivername.startswith("postgresql") and "connect_timeout" not in parsed.query:
        parsed = parsed.update_query_dict({"connect_timeout": str(_CONNECT_S)})
    secrets = _passwords(parsed)
    engine = _engine(parsed, name, secrets)
    if is_sqlite:
        sql.event.listen(engine, "connect", _leave_transactions_to_us)
        sql.event.listen(engine, "begin", _begin)
    elif parsed.get_backend_name() == "postgresql":
        sql.event.listen(engine, "connect", _wait_no_longer)
    return Database(name, engine, file, secrets)


def _passwords(url: URL) -> frozenset[str]:
    """The passwords of a URL, also those among its options, as they are and as it has them."""
    options = {key: value for key, value in url.query.items() if _OF_PASSWORD.search(key)}
    words = [url.password or "", *(str(value) for value in options.values())]
    forms = (form(word) for word in words if word for form in (str, quote, quote_plus))
    return frozenset(forms)


def _require_answer(database: Database) -> None:
    """StoreError where its server does not let us in, or accepts us and then says nothing.

    Not every driver has a time limit for the second, so it is ours. Its thread ends with us.
    """
    errors: list[Exception] = []

    def connect() -> None:
        try:
            database.engine.connect().close()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if thread.is_alive():
        raise StoreError(
            f"{database.name}: its server has not answered for {ANSWER_S:.0f} s: start it again, "
            f"or correct the URL, or {ANOTHER}"
        )
    if errors:
        database.refuse(errors[0])


def _require_a_file(file: Path, name: str) -> None:
    """Make the folder of a database; StoreError where its file can be none."""
    try:
        make_folder(file.parent)
    except OSError as error:
        raise StoreError(
            f"{name}: its folder cannot be made ({error.strerror or error}): {ANOTHER}"
        ) from error
    if file.is_dir():
        raise StoreError(f"{name}: is a folder and no file: {ANOTHER}")
    if file.exists() and not file.is_file():
        raise StoreError(f"{name}: is a device, a pipe or a socket and no file: {ANOTHER}")
    target = Path(os.path.realpath(file))
    if file.is_symlink() and not target.parent.is_dir():
        raise StoreError(f"{name}: is a link to {target}, whose folder is not there: {ANOTHER}")


def _engine(url: URL, name: str, secrets: frozenset[str]) -> sql.Engine:
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
        raise refusal(name, error, secrets) from None


def _leave_transactions_to_us(connection: Any, _record: object) -> None:
    """Python's sqlite3 begins none for tables that are made or changed."""
    connection.isolation_level = None


def _wait_no_longer(connection: Any, _record: object) -> None:
    """PostgreSQL waits for the lock of another session without end."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {round(1000 * LOCKED_S)}")
    connection.commit()


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
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_waiting_lock(database.name, lock_path(database.file)))
        except OSError as error:
            raise refusal(database.name, error) from error
        yield


@contextlib.contextmanager
def _waiting_lock(name: str, path: Path) -> Iterator[None]:
    """Hold a lock; StoreError where another process holds it for over ``LOCKED_S``."""
    deadline = time.monotonic() + LOCKED_S
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked_at_once(path, f"process {os.getpid()}"))
                break
            except LockTaken as holder:
                if time.monotonic() > deadline:
                    maker = str(holder) or "another process"
                    raise StoreError(
                        f"{name}: {maker} has been making or migrating its tables for over "
                        f"{LOCKED_S:.0f} s: end that process, or {ANOTHER}"
                    ) from None
        yield


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
