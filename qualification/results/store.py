"""The results database: SQLite by default, any other by its SQLAlchemy URL.

Raw trials are rows; statistics are derived on demand. Nothing is ever updated: a session is written
once, in one transaction, and results of other machines stay as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sql
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from qualification.core.errors import StoreError
from qualification.core.protocol import LoadReport, to_json
from qualification.core.results import SCHEMA_VERSION, Check, Results, Session, Trial, Verdict
from qualification.core.validation import first_problem

_Record = TypeVar("_Record")

_tables = sql.MetaData()
_schema = sql.Table("schema", _tables, sql.Column("version", sql.Integer, primary_key=True))
_sessions = sql.Table(
    "sessions",
    _tables,
    sql.Column("identifier", sql.String(64), primary_key=True),
    sql.Column("started", sql.String(40), nullable=False, index=True),
    sql.Column("machine", sql.String(64), nullable=False, index=True),
    sql.Column("tier", sql.String(32), nullable=False),
    sql.Column("record", sql.JSON, nullable=False),
)


def _of_session(name: str, *columns: sql.Column[Any]) -> sql.Table:
    return sql.Table(
        name,
        _tables,
        sql.Column("number", sql.Integer, primary_key=True),
        sql.Column(
            "session", sql.String(64), sql.ForeignKey("sessions.identifier"), nullable=False
        ),
        sql.Column("deployment", sql.String(200), nullable=False, index=True),
        *columns,
    )


_trials = _of_session(
    "trials",
    sql.Column("metric", sql.String(64), nullable=False),
    sql.Column("value", sql.Float),
    sql.Column("unit", sql.String(16), nullable=False),
    sql.Column("repetition", sql.Integer, nullable=False),
    sql.Column("suite", sql.String(64), nullable=False),
)
_checks = _of_session(
    "checks",
    sql.Column("suite", sql.String(64), nullable=False),
    sql.Column("test", sql.String(200), nullable=False),
    sql.Column("outcome", sql.String(16), nullable=False),
    sql.Column("detail", sql.Text, nullable=False),
    sql.Column("known_bug", sql.String(64), nullable=False),
)
_verdicts = _of_session("verdicts", sql.Column("record", sql.JSON, nullable=False))
_loads = _of_session("load_reports", sql.Column("record", sql.JSON, nullable=False))


class Store:
    """Writes sessions and reads them back."""

    def __init__(self, url: str) -> None:
        self._name = url
        try:
            parsed = make_url(url)
            self._name = parsed.render_as_string(hide_password=True)
            if parsed.drivername.startswith("sqlite") and parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self._engine = sql.create_engine(parsed)
            self._create()
            with self._engine.begin() as connection:
                version = connection.execute(sql.select(_schema.c.version)).scalar()
                if version is None:
                    connection.execute(_schema.insert().values(version=SCHEMA_VERSION))
        except ArgumentError as error:
            raise StoreError(f"{url!r} is not a database URL such as sqlite:///results") from error
        except (SQLAlchemyError, OSError, ImportError, ValueError) as error:
            raise StoreError(f"{self._name}: cannot be used as results database ({error})") from (
                error
            )
        if version not in (None, SCHEMA_VERSION):
            raise StoreError(
                f"{self._name}: has schema version {version}, this release writes "
                f"{SCHEMA_VERSION}; name another database with --results"
            )

    def _create(self) -> None:
        try:
            _tables.create_all(self._engine)
        except SQLAlchemyError:  # another run may have made the tables at this very moment
            _tables.create_all(self._engine)

    def keep(self, results: Results) -> None:
        """Write one session with all that belongs to it, or nothing."""
        session = results.session
        key = {"session": session.identifier}
        rows: list[tuple[sql.Table, list[dict[str, Any]]]] = [
            (_trials, [key | to_json(trial) for trial in results.trials]),
            (_checks, [key | to_json(check) for check in results.checks]),
            (
                _verdicts,
                [
                    key | {"deployment": verdict.deployment, "record": to_json(verdict)}
                    for verdict in results.verdicts
                ],
            ),
            (
                _loads,
                [
                    key | {"deployment": deployment, "record": to_json(report)}
                    for deployment, report in results.load_reports.items()
                ],
            ),
        ]
        try:
            with self._engine.begin() as connection:
                connection.execute(
                    _sessions.insert().values(
                        identifier=session.identifier,
                        started=session.started,
                        machine=session.machine.identifier,
                        tier=session.machine.tier,
                        record=to_json(session),
                    )
                )
                for table, values in rows:
                    if values:
                        connection.execute(table.insert(), values)
        except (SQLAlchemyError, ValueError) as error:
            raise StoreError(f"{self._name}: the session could not be written ({error})") from error

    def latest(self, machine: str = "") -> str:
        """Identifier of the newest session (of one machine); StoreError where there is none."""
        query = sql.select(_sessions.c.identifier).order_by(
            _sessions.c.started.desc(), _sessions.c.identifier.desc()
        )
        if machine:
            query = query.where(_sessions.c.machine == machine)
        identifier = self._scalar(query)
        if identifier is None:
            whose = " of this machine" if machine else ""
            raise StoreError(f"{self._name}: no session{whose} yet; run pytest -m canary first")
        return str(identifier)

    def results(self, identifier: str) -> Results:
        """The whole record of a session; StoreError where there is none."""
        record = self._scalar(
            sql.select(_sessions.c.record).where(_sessions.c.identifier == identifier)
        )
        if record is None:
            raise StoreError(f"{self._name}: holds no session {identifier!r}")
        return Results(
            session=self._parsed(Session, record),
            verdicts=tuple(
                self._parsed(Verdict, row["record"]) for row in self._rows(_verdicts, identifier)
            ),
            trials=tuple(self._parsed(Trial, row) for row in self._rows(_trials, identifier)),
            checks=tuple(self._parsed(Check, row) for row in self._rows(_checks, identifier)),
            load_reports={
                row["deployment"]: self._parsed(LoadReport, row["record"])
                for row in self._rows(_loads, identifier)
            },
        )

    def _scalar(self, query: sql.Select[Any]) -> Any:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).scalar()
        except (SQLAlchemyError, ValueError) as error:
            raise StoreError(f"{self._name}: cannot be read ({error})") from error

    def _rows(self, table: sql.Table, identifier: str) -> list[dict[str, Any]]:
        query = sql.select(table).where(table.c.session == identifier).order_by(table.c.number)
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(query).mappings().all()
        except (SQLAlchemyError, ValueError) as error:
            raise StoreError(f"{self._name}: cannot be read ({error})") from error
        # SQLite stores NaN as NULL; only trials have such a column.
        return [
            {
                key: float("nan") if key == "value" and value is None else value
                for key, value in row.items()
                if key not in ("number", "session")
            }
            for row in rows
        ]

    def _parsed(self, kind: type[_Record], value: Any) -> _Record:
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            raise StoreError(
                f"{self._name}: holds a {kind.__name__} that cannot be read: {first_problem(error)}"
            ) from error
